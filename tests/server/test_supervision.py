"""What whoever started a process has to hear."""

import os
import socket
from pathlib import Path

import pytest

from composer.server import supervision


@pytest.mark.parametrize(
    ("pid", "parent", "first", "environment", "said"),
    [
        (7, 6, "systemd", {}, ""),
        (7, 1, "systemd", {}, ""),
        (1, 0, "byoc", {}, "a container ends with its first process"),
        (7, 1, "docker-init", {}, "its init is docker-init"),
        (7, 6, "tini", {}, ""),  # its parent is somebody else
        (7, 1, "systemd", {"INVOCATION_ID": "x"}, "set Type=notify"),
        (7, 1, "systemd", {"INVOCATION_ID": "x", "NOTIFY_SOCKET": "/run/n"}, ""),
    ],
)
def test_where_another_process_would_be_ended_too_it_does_not_begin(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pid: int,
    parent: int,
    first: str,
    environment: dict[str, str],
    said: str,
) -> None:
    (tmp_path / "comm").write_text(f"{first}\n")
    monkeypatch.setattr(os, "getpid", lambda: pid)
    monkeypatch.setattr(os, "getppid", lambda: parent)
    why = supervision.why_not_succeeded(environment, tmp_path / "comm")
    assert said in why
    assert bool(why) is bool(said)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, *, abstract: bool) -> None:
    name = f"@byoc-{os.getpid()}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0", 1) if abstract else name)
        heard.settimeout(5)
        supervision.notify("READY=1\nMAINPID=7", {"NOTIFY_SOCKET": name})
        assert heard.recv(100) == b"READY=1\nMAINPID=7"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    for name in ("", "relative", str(tmp_path / "none")):
        supervision.notify("READY=1", {"NOTIFY_SOCKET": name})
