"""Devices of tests: CUDA where there is one (failed where one was promised), and a stand-in."""

import os

import pytest

from composer.device import cuda
from composer.media import live_reader, nvenc
from tests.clips import BUNNY, ROOT, fetched


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is None or cuda.count():
        return
    if os.environ.get("COMPOSER_REQUIRE_CUDA") == "1":
        pytest.fail(
            "there is no CUDA device, and COMPOSER_REQUIRE_CUDA=1 asks for one", pytrace=False
        )
    pytest.skip("there is no CUDA device")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> str:
    """What `device:` asks for where there is no device: `cpu:0` is one to the plan and the CPU to
    torch, so all that is done for a device is done.
    """
    monkeypatch.setattr(cuda, "count", lambda: 1)
    monkeypatch.setattr(
        cuda, "chosen", lambda wanted, able, needs=(): "cpu" if wanted == "cpu" else "cpu:0"
    )
    monkeypatch.setattr(live_reader, "_hardware", lambda device: None)
    monkeypatch.setattr(nvenc, "missing", lambda codec, device: "a stand-in encodes nothing")
    return "cuda"


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.cuda)], ids=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Where a test runs: everywhere on the CPU, and on CUDA where there is a device."""
    name: str = request.param
    return name


@pytest.fixture
def bench_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bench measures with: its clip, and the folder that its paths begin in."""
    fetched(BUNNY)
    monkeypatch.chdir(ROOT)
