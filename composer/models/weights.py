"""Weights: an address in a pipeline file -> bytes that are what the address says they are.

    models/x.onnx                           below the pipeline's folder
    https://host/path
    hf://org/repo/path@revision             a repository of the Hugging Face hub
    pypi://package==version/path/in/wheel
    npm://package@version/path/in/package

Each may end in #sha256=<64 hex digits>, and all but the first must. What is fetched is kept under
that digest, so a file has one place however many addresses it has. Every file is opened once: the
bytes that are checked are the bytes that are handed on.
"""

import contextlib
import hashlib
import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from composer.errors import ComposerError, SettingsInvalid
from composer.node import registry
from composer.node.registry import NotFound
from composer.pipeline.hints import did_you_mean

SCHEMES: Final = ("https", "hf", "pypi", "npm")

MAX_BYTES: Final = 4 * 1024**3
"""Largest file of weights. A picture model that keeps up with live video has far less."""

REMEMBERED: Final = 64
"""Digests of files that are kept in memory; a pipeline has a handful."""

_LONGEST_SHOWN: Final = 160


class _Hinted(ComposerError):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint: Final = hint


class WeightsInvalid(_Hinted):
    """An address of weights that cannot be used as it is written. `hint` is one suggestion."""


class WeightsMissing(_Hinted):
    """The file is not on this machine: never fetched, or no such local file."""


class WeightsBad(ComposerError):
    """The file is there and is not what it should be."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights: where it comes from, and what it must be.

    address: as written, without #sha256=. scheme: "" is a path below the pipeline's folder.
    sha256: 64 lower-case digits; "" only where the scheme is "", and then nothing is checked.
    """

    address: str
    scheme: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """The file's own name, for messages."""
        path = shape(self)["path"] if self.scheme else self.address
        return PurePosixPath(path).name


_NAME: Final = r"\w(?:[\w.-]*\w)?"
_HOST: Final = r"https://(?:\w[\w-]{0,62}(?:\.\w[\w-]{0,62})*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"

ORIGIN: Final = re.compile(rf"{_HOST}(?=[/?]|$)", re.ASCII)

_SHAPES: Final = {
    "https": (
        # Printable ASCII: without ? in the path, and without / at its end, which is a folder.
        re.compile(rf"{_HOST}(?P<path>/[!->@-~]*[!-.0->@-~])(?:\?[!-~]*)?", re.ASCII),
        "https://host/path, percent-encoded",
    ),
    "hf": (
        re.compile(
            rf"hf://(?P<repo>{_NAME}/{_NAME})/(?P<path>[^@]+)@(?P<revision>\w[\w./-]*)", re.ASCII
        ),
        "hf://org/repo/path@revision",
    ),
    "pypi": (
        re.compile(rf"pypi://(?P<package>{_NAME}==\w[\w.!+-]*)/(?P<path>.+)", re.ASCII),
        "pypi://package==version/path/in/wheel",
    ),
    "npm": (
        re.compile(
            rf"npm://(?P<package>(?:@{_NAME}/)?{_NAME})@(?P<version>\d+\.\d+\.\d+[\w.+-]*)"
            r"/(?P<path>.+)",
            re.ASCII,
        ),
        "npm://package@1.2.3/path/in/package",
    ),
}
"""Scheme -> what an address looks like, and how that is told."""

_SCHEME: Final = re.compile(r"(\w[\w+.-]+):")
_USER: Final = re.compile(r"https://[^/?#]*@")
# A password may hold / ? or #, so with a colon in sight everything up to the last @ goes.
_SECRET: Final = re.compile(
    r"^(?!hf:|pypi:|npm:)(\w[\w+.-]*:/{0,3})(?:[^:]*:.*|[^/?#]*)@", re.DOTALL
)
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


def parse(text: str, sha256: str = "") -> Weights:
    """The weights of an address. `sha256` is one that is written beside it.

    Raises WeightsInvalid, whose message shows the address without its password or its query.
    """
    if not text.isprintable():
        raise WeightsInvalid(f"the address {shown(text)} has a character that cannot be printed")
    address, _, fragment = text.partition("#")
    if not address:
        raise WeightsInvalid(f"an address of weights is missing, got {shown(text)}")
    scheme = _scheme(text, address)
    digest = _digest_of(text, fragment, sha256)
    if scheme and not digest:
        hint = "write it behind the address: #sha256= and the 64 digits that sha256sum prints"
        raise WeightsInvalid(f"{shown(text)} needs the sha256 of the file", hint)
    return Weights(address, scheme, digest)


def _scheme(text: str, address: str) -> str:
    """The scheme of an address that has the shape of its scheme, "" for a path."""
    found = _SCHEME.match(address)
    if found is None:
        return ""
    scheme = found[1]
    if scheme == "http":
        raise WeightsInvalid(f"{shown(text)} would not be encrypted", "write https://")
    if scheme not in SCHEMES:
        hint = did_you_mean(scheme, SCHEMES) or f"one of {', '.join(SCHEMES)}, or a path"
        raise WeightsInvalid(f"no scheme {_cut(scheme)} in {shown(text)}", hint)
    if _USER.match(address):
        hint = "fetch the file yourself and write its path"
        raise WeightsInvalid(f"{shown(text)} holds a user or a password", hint)
    form, example = _SHAPES[scheme]
    match = form.fullmatch(address)
    if match is None:
        raise WeightsInvalid(f"{shown(text)} is no address of {scheme}", f"write {example}")
    if scheme != "https":
        _stay_inside(text, match["path"])
    return scheme


def _stay_inside(text: str, path: str) -> None:
    parts = path.split("/")
    if "\\" in path or {"", ".", ".."} & set(parts):
        hint = "write the path as the archive lists it"
        raise WeightsInvalid(f"{shown(text)}: {_cut(path)} is no path inside an archive", hint)


def _digest_of(text: str, fragment: str, beside: str) -> str:
    """The one digest that is written, lower-case; "" for none."""
    mark, _, inside = fragment.partition("=")
    if fragment and mark != "sha256":
        hint = "only #sha256= and 64 digits may follow"
        raise WeightsInvalid(f"{shown(text)}: cannot use #{fragment[:20]}", hint)
    written = {inside.lower()} if fragment else set()
    written |= {beside.lower()} if beside else set()
    bad = sorted(each for each in written if not _DIGEST.fullmatch(each))
    if bad:
        hint = "64 digits of 0-9 and a-f, as sha256sum prints them"
        raise WeightsInvalid(f"{shown(text)}: {bad[0][:70]!r} is no sha256", hint)
    if len(written) > 1:
        said = f"{shown(text)}: its sha256 is {inside} there and {beside} beside it"
        raise WeightsInvalid(said, "leave one of them away")
    return next(iter(written), "")


def shown(text: str) -> str:
    """An address for a message. A query is left away, as it may hold a key."""
    masked = _SECRET.sub(r"\1***@", text)
    if _SCHEME.match(masked):
        masked = masked.partition("?")[0]
    return _cut(masked)


def _cut(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def shape(weights: Weights) -> re.Match[str]:
    """The parts of a remote address, by the names of _SHAPES."""
    match = _SHAPES[weights.scheme][0].fullmatch(weights.address)
    assert match is not None, "parse() has seen it"
    return match


def cache() -> Path:
    """Where fetched files are kept: $BYOC_CACHE, $XDG_CACHE_HOME/byoc or ~/.cache/byoc.

    Raises SettingsInvalid where there is no home folder.
    """
    if told := os.environ.get("BYOC_CACHE"):
        return Path(told).absolute()
    if told := os.environ.get("XDG_CACHE_HOME"):
        return Path(told, "byoc").absolute()
    try:
        return Path.home() / ".cache" / "byoc"
    except RuntimeError as exc:
        raise SettingsInvalid("BYOC_CACHE has to name a folder: there is no home") from exc


def place(weights: Weights) -> Path:
    """Where a fetched file is kept."""
    return cache() / "weights" / weights.sha256[:2] / weights.sha256


def locate(weights: Weights, folder: Path) -> Path:
    """Where the file lies on this machine. A path of the pipeline stays below `folder`.

    Whether it is what it should be, verify() and read() find out. Raises WeightsMissing.
    """
    if not weights.scheme:
        return _below(folder, weights.address)
    found = place(weights)
    if not os.path.lexists(found):
        raise WeightsMissing(
            f"{weights.name} ({shown(weights.address)}) is not on this machine",
            "fetch it first: byoc fetch FILE",
        )
    return found


def _below(folder: Path, address: str) -> Path:
    try:
        return registry.locate(folder, address)
    except NotFound as exc:
        path = folder / address
        # A pipe or a device is there, and is refused by those who open it.
        if exc.code == "missing-file" and os.path.exists(path) and not os.path.isdir(path):
            return path.resolve()
        raise WeightsMissing(str(exc), exc.hint) from exc


def read(weights: Weights, folder: Path) -> bytes:
    """The whole file, checked: these very bytes have the digest. Raises WeightsMissing, WeightsBad.

    The file is opened once, and never waited for.
    """
    with _opened(weights, locate(weights, folder)) as (file, found):
        # One more than there should be, so that a file which grows is noticed.
        content = file.read(found.st_size + 1)
    if len(content) != found.st_size:
        raise WeightsBad(f"{shown(weights.address)} changed while it was read")
    if weights.sha256:
        _expect(weights, hashlib.sha256(content).hexdigest())
    return content


def verify(weights: Weights, folder: Path) -> Path:
    """Where the file lies, after its digest was checked. Raises WeightsMissing, WeightsBad.

    A file that has not changed since is not read again by this process.
    """
    path = locate(weights, folder)
    with _opened(weights, path) as (file, found):
        if weights.sha256:
            _expect(weights, _digest(path, file, found))
    return path


@contextlib.contextmanager
def _opened(weights: Weights, path: Path) -> Iterator[tuple[io.BufferedReader, os.stat_result]]:
    name = shown(weights.address)
    try:
        with open(path, "rb", opener=_plainly) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise WeightsBad(f"{name} is not a regular file")
            if found.st_size == 0:
                raise WeightsBad(f"{name} is empty")
            if found.st_size > MAX_BYTES:
                raise WeightsBad(f"{name} is larger than {MAX_BYTES} bytes")
            yield file, found
    except FileNotFoundError as exc:
        raise WeightsMissing(f"{name} is gone") from exc
    except OSError as exc:
        raise WeightsBad(f"{name} cannot be read: {exc.strerror}") from exc


def _plainly(path: str, flags: int) -> int:
    # No link that was put there since it was found, and no wait for whoever writes into a pipe.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _expect(weights: Weights, digest: str) -> None:
    if digest != weights.sha256:
        name = shown(weights.address)
        raise WeightsBad(f"{name}: the sha256 is {digest}, not {weights.sha256} as written")


_digests: Final[dict[tuple[str | int, ...], str]] = {}
_digests_lock: Final = threading.Lock()


def _digest(path: Path, file: io.BufferedReader, found: os.stat_result) -> str:
    key = _identity(path, found)
    with _digests_lock:
        if key in _digests:
            return _digests[key]
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _identity(path, os.fstat(file.fileno())) != key:
        return digest  # written to meanwhile, so not worth remembering
    with _digests_lock:
        while len(_digests) >= REMEMBERED:
            del _digests[next(iter(_digests))]
        _digests[key] = digest
    return digest


def _identity(path: Path, found: os.stat_result) -> tuple[str | int, ...]:
    # A program can set the mtime back, but not the ctime.
    return (str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
