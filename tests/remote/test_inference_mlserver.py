"""The client of models against a real server: MLServer, as scripts/mlserver.py installs it.

MLServer reads tensors as bytes over gRPC only; over HTTP it is the server that wants JSON.
"""

import os
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from composer.remote.inference import RemoteFailed, ServedModel
from scripts import mlserver
from scripts.mlserver import Served
from tests.clips import ROOT
from tests.remote import other_python, played
from tests.remote.played import Act, Played

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not mlserver.installed(), reason="no MLServer here: python scripts/mlserver.py makes it"
    ),
]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with mlserver.serving() as found:
        yield found


def in_other_python(check: str, url: str) -> None:
    """Run a check of other_python.py where tritonclient is installed, with a proxy that is dead."""
    changed = {"PYTHONPATH": str(ROOT), "http_proxy": "http://127.0.0.1:1"}
    command = [str(mlserver.PYTHON), "-m", "tests.remote.other_python", check, url]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | changed,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_inference_over_http(served: Served) -> None:
    other_python.check_plus_one(served.http)


def test_inference_over_grpc(served: Served) -> None:
    in_other_python("plus_one", served.grpc)


def test_a_model_that_is_not_there(served: Served) -> None:
    other_python.check_unknown(served.http)
    in_other_python("unknown", served.grpc)
    remote = ServedModel(served.http, "nobody", timeout=30)
    assert not remote.ready()
    with pytest.raises(RemoteFailed) as caught:
        remote.metadata()
    assert str(caught.value).endswith(": 404 Not Found: Model nobody not found")
    remote.close()


def test_what_the_model_does_not_like(served: Served) -> None:
    remote = ServedModel(served.http, "plusone", timeout=30)
    with pytest.raises(RemoteFailed, match=r": 500 Internal Server Error"):
        remote.infer({"image": np.array([b"text"], dtype=object)})
    remote.close()


def test_the_server_dies_while_it_works() -> None:
    with mlserver.serving() as mortal:
        other_python.check_death(mortal.http)
        remote = ServedModel(mortal.http, "plusone", timeout=30)
        with pytest.raises(RemoteFailed, match=r"Connection refused$"):
            remote.ready()
        remote.close()


def test_the_server_dies_while_it_works_over_grpc() -> None:
    with mlserver.serving() as mortal:
        in_other_python("death", mortal.grpc)


def test_tensors_may_come_as_lists_over_grpc() -> None:
    in_other_python("lists", "")


def test_a_silent_server_is_left_in_time_over_grpc() -> None:
    with Played(Act(b"", "stall")).serving() as url:
        in_other_python("silent", url.replace("http://localhost", "grpc://127.0.0.1"))


def test_the_server_that_tests_play_is_one_that_tritons_client_understands() -> None:
    with Played(played.echo).serving() as url:
        in_other_python("played", url.replace("localhost", "127.0.0.1"))
