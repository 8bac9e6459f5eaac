"""Make .mlserver/, a venv with MLServer in it, once, and serve small models from there.

They are for tests/remote/test_inference_mlserver.py, which needs .mlserver/ and starts its own. The
program itself needs none of it. With --install it makes the venv only; else it serves until Ctrl-C.
"""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

PACKAGES: Final = ("mlserver==1.7.1", "tritonclient[grpc,http]==2.73.0")
PYTHONS: Final = ("python3.12", "python3.11")
"""MLServer 1.7 wants a Python below 3.13."""

TARGET: Final = Path(__file__).parent.parent / ".mlserver"
PYTHON: Final = TARGET / "bin" / "python"
STAMP: Final = TARGET / ".installed"

TRIES: Final = 600
PAUSE_SECONDS: Final = 0.1
STOP_SECONDS: Final = 10

RUNTIME: Final = '''
import os
import signal

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, ResponseOutput


class PlusOne(MLModel):
    """image -> image + 1, its mean, its shape, and a word."""

    async def predict(self, payload):
        image = self.decode(payload.inputs[0], default_codec=NumpyCodec) + 1
        mean = ResponseOutput(name="mean", shape=[1], datatype="FP32", data=[float(image.mean())])
        size = ResponseOutput(name="size", shape=[4], datatype="INT64", data=list(image.shape))
        word = ResponseOutput(name="word", shape=[1], datatype="BYTES", data=["brighter"])
        outputs = [NumpyCodec.encode_output("image", image), mean, size, word]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Echo(MLModel):
    """Every input comes back."""

    async def predict(self, payload):
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Dies(MLModel):
    """The server ends while it works."""

    async def predict(self, payload):
        os.kill(os.getpid(), signal.SIGKILL)
'''

_IMAGE: Final = {"name": "image", "datatype": "FP32", "shape": [1, 3, -1, -1]}
MODELS: Final[dict[str, dict[str, object]]] = {
    "plusone": {
        "implementation": "runtime.PlusOne",
        "platform": "test",
        "inputs": [_IMAGE],
        "outputs": [
            _IMAGE,
            {"name": "mean", "datatype": "FP32", "shape": [1]},
            {"name": "size", "datatype": "INT64", "shape": [4]},
            {"name": "word", "datatype": "BYTES", "shape": [1]},
        ],
    },
    "echo": {"implementation": "runtime.Echo"},
    "dies": {"implementation": "runtime.Dies"},
}


@dataclass(frozen=True, slots=True)
class Served:
    """Addresses of a server that runs."""

    http: str
    grpc: str


def installed() -> bool:
    return STAMP.is_file() and STAMP.read_text() == "\n".join(PACKAGES)


def install() -> None:
    """Make the venv; a minute and 330 MB. A broken one is made anew."""
    if installed():
        return
    print(f"installing {' and '.join(PACKAGES)} into {TARGET}")
    shutil.rmtree(TARGET, ignore_errors=True)
    subprocess.run([_python(), "-m", "venv", str(TARGET)], check=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *PACKAGES], check=True)
    STAMP.write_text("\n".join(PACKAGES))


def _python() -> str:
    if sys.version_info < (3, 13):
        return sys.executable
    for name in PYTHONS:
        if (found := shutil.which(name)) is not None:
            return found
    sys.exit(f"MLServer does not run on Python 3.13; install one of {', '.join(PYTHONS)}")


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """A server on free ports of 127.0.0.1 that is ready. Raises RuntimeError if it never is."""
    http_port, grpc_port, metrics_port = _free_ports(3)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        settings = {
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "parallel_workers": 0,
        }
        write(Path(folder), settings)
        command = [str(TARGET / "bin" / "mlserver"), "start", folder]
        with subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
            try:
                _wait(process, http_port, log)
                yield Served(f"http://127.0.0.1:{http_port}", f"grpc://127.0.0.1:{grpc_port}")
            finally:
                _stop(process)


def write(folder: Path, settings: dict[str, object]) -> None:
    """The models as MLServer reads them: a folder for each, with the code beside its settings."""
    (folder / "settings.json").write_text(json.dumps(settings))
    for name, model in MODELS.items():
        (folder / name).mkdir()
        (folder / name / "runtime.py").write_text(RUNTIME)
        described = {"name": name} | model
        (folder / name / "model-settings.json").write_text(json.dumps(described))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in free]


def _wait(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    for _ in range(TRIES):
        if _is_ready(port):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PAUSE_SECONDS)
            break  # it ended
    log.seek(0)
    raise RuntimeError(f"MLServer is not ready:\n{log.read()[-2000:].decode(errors='replace')}")


def _is_ready(port: int) -> bool:
    """Whether all models are loaded (inference_rest.md, "Server Ready")."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(asked), contextlib.suppress(OSError):
        asked.request("GET", "/v2/health/ready")
        return asked.getresponse().status == http.HTTPStatus.OK
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> None:
    install()
    if "--install" in sys.argv:
        return
    with serving() as served, contextlib.suppress(KeyboardInterrupt):
        print(f"{', '.join(MODELS)} at {served.http} and {served.grpc}, until Ctrl-C")
        sys.stdin.read()


if __name__ == "__main__":
    main()
