import hashlib
import os
from pathlib import Path

import pytest

from composer.errors import SettingsInvalid
from composer.models import weights
from composer.models.weights import Weights, WeightsBad, WeightsInvalid, WeightsMissing

CONTENT = bytes(range(256)) * 8
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
MARK = f"#sha256={SHA256}"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test."""
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


# Addresses


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("models/x.onnx", "", "x.onnx"),
        ("./a:b.onnx", "", "a:b.onnx"),
        ("https://host/a/x.onnx", "https", "x.onnx"),
        ("https://host.example:8443/p@1.2/x.onnx?key=a/b", "https", "x.onnx"),
        ("https://[::1]:8443/x", "https", "x"),
        ("hf://org/re.po/on nx/x.onnx@refs/pr/1", "hf", "x.onnx"),
        ("pypi://some-package==1.0.post1+cpu/a/b@2.onnx", "pypi", "b@2.onnx"),
        ("npm://package@1.2.3-rc.1/x.onnx", "npm", "x.onnx"),
        ("npm://@scope/package@1.2.3/a/x.onnx", "npm", "x.onnx"),
    ],
)
def test_an_address_with_its_digest(text: str, scheme: str, name: str) -> None:
    found = weights.parse(text + MARK.upper().replace("SHA256", "sha256"))
    assert found == Weights(text, scheme, SHA256) == weights.parse(text, SHA256.upper())
    assert found == weights.parse(text + MARK, SHA256)
    assert found.name == name


def test_only_a_local_file_needs_no_digest() -> None:
    assert weights.parse("models/x.onnx") == Weights("models/x.onnx")
    with pytest.raises(WeightsInvalid, match=r"'https://host/x' needs the sha256") as caught:
        weights.parse("https://host/x")
    assert "#sha256=" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "is missing", ""),
        (MARK, "is missing", ""),
        ("a\x00b", r"'a\x00b' has a character that cannot be printed", ""),
        ("http://host/x", "would not be encrypted", "write https://"),
        ("htps://host/x", "no scheme 'htps' in 'htps://host/x'", "did you mean 'https'?"),
        ("s3://bucket/x", "no scheme 's3'", "one of https, hf, pypi, npm, or a path"),
        ("HTTPS://host/x", "no scheme 'HTTPS'", "did you mean 'https'?"),
        ("https://me@host/x", "'https://***@host/x' holds a user or a password", "yourself"),
        ("https:/host/x", "no address of https", "write https://host/path"),
        ("https://host/folder/", "no address of https", "write https://host/path"),
        ("https://ho st/x", "no address of https", "write https://host/path"),
        ("https://host/ü", "no address of https", "percent-encoded"),
        ("https://a..b/x", "no address of https", "write https://host/path"),
        (f"https://{'a' * 64}.b/x", "no address of https", "write https://host/path"),
        ("hf://org/repo/x.onnx", "no address of hf", "write hf://org/repo/path@revision"),
        ("hf://org/x.onnx@main", "no address of hf", "write hf://org/repo/path@revision"),
        ("pypi://package/x", "no address of pypi", "write pypi://package==version/"),
        ("pypi://package==1.*/x", "no address of pypi", "write pypi://package==version/"),
        ("pypi://--index-url=y==1/x", "no address of pypi", "write pypi://package==version/"),
        ("pypi://package==1", "no address of pypi", "write pypi://package==version/"),
        ("npm://package/x", "no address of npm", "write npm://package@1.2.3/"),
        ("npm://package@^1.2.3/x", "no address of npm", "write npm://package@1.2.3/"),
        ("npm://--x@1.2.3/x", "no address of npm", "write npm://package@1.2.3/"),
        ("npm://p@1.2.3/../x", "'../x' is no path inside an archive", "as the archive lists it"),
        ("pypi://p==1/a/../../x", "'a/../../x' is no path inside", "as the archive lists it"),
        ("pypi://p==1//etc/x", "'/etc/x' is no path inside", "as the archive lists it"),
        ("pypi://p==1/a\\x", r"'a\\x' is no path inside", "as the archive lists it"),
        ("hf://org/repo/./x@main", "'./x' is no path inside", "as the archive lists it"),
    ],
)
def test_an_address_that_cannot_be_used(text: str, said: str, hint: str) -> None:
    with pytest.raises(WeightsInvalid) as caught:
        weights.parse(text, SHA256)
    assert said in str(caught.value)
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "beside", "said"),
    [
        ("x#md5=1", "", "'x#md5=1': cannot use #md5=1"),
        ("x#sha256=", "", "'' is no sha256"),
        ("x#sha256=12", SHA256, "'12' is no sha256"),
        ("x", "g" * 64, f"'{'g' * 64}' is no sha256"),
        ("x" + MARK, OTHER, f"its sha256 is {SHA256} there and {OTHER} beside it"),
    ],
)
def test_a_digest_that_cannot_be_used(text: str, beside: str, said: str) -> None:
    with pytest.raises(WeightsInvalid) as caught:
        weights.parse(text, beside)
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hush@host/x",
        "https://hush@host/x",
        "https://user:hu@hush/hush@host/x",
        "https://user:hu/hush@host/x",
        "https://user:hu?hush@host/x",
        "https://user:hu#hush@host/x",
        "https://user:hu\n/hush@host/x",
        "http://user:hush@host/x",
        "htps://user:hush@host/x",
        "ftp://hush@host/x",
        "https://host/x?key=hush",
    ],
)
def test_a_secret_in_an_address_is_never_shown(text: str) -> None:
    with pytest.raises(WeightsInvalid) as caught:
        weights.parse(text)
    assert "hush" not in f"{caught.value} {caught.value.hint}"
    assert "host/x" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 9999 + ":", id="scheme"),
        pytest.param("ab:@" + ":" * 9999, id="colons"),
        pytest.param("ab:" + "/" * 9999, id="slashes"),
        pytest.param("a" * 9999, id="path"),
        pytest.param("#" * 9999, id="fragment"),
        pytest.param(f"https://{'a.' * 5000}", id="https"),
        pytest.param(f"hf://{'a/' * 5000}", id="hf"),
        pytest.param(f"pypi://p==1/{'../' * 5000}", id="pypi"),
        pytest.param(f"npm://{'a.' * 5000}", id="npm"),
    ],
)
def test_a_long_address_is_cut(text: str) -> None:
    with pytest.raises(WeightsInvalid) as caught:
        weights.parse(text, "0")
    assert len(str(caught.value)) < 600


# Places


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache() == tmp_path / "kept"
    monkeypatch.setenv("BYOC_CACHE", "")
    assert weights.cache() == tmp_path / "xdg" / "byoc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights.cache() == tmp_path / ".cache" / "byoc"


def test_a_user_without_a_home_has_to_name_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BYOC_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with pytest.raises(SettingsInvalid, match="BYOC_CACHE has to name a folder"):
        weights.cache()


def test_a_file_that_was_never_fetched() -> None:
    wanted = weights.parse("https://host/a/x.onnx?key=hush", SHA256)
    for call in (weights.locate, weights.read, weights.verify):
        with pytest.raises(WeightsMissing, match=r"x\.onnx .* is not on this machine") as caught:
            call(wanted, Path())
        assert caught.value.hint == "fetch it first: byoc fetch FILE"
        assert "hush" not in str(caught.value)


def test_a_local_file_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "x.onnx"
    path.write_bytes(CONTENT)
    (tmp_path / "y.onnx").symlink_to(path)
    for text in ("models/x.onnx", "y.onnx", "./models/x.onnx" + MARK):
        wanted = weights.parse(text)
        assert weights.locate(wanted, tmp_path) == path == weights.verify(wanted, tmp_path)
        assert weights.read(wanted, tmp_path) == CONTENT


def test_a_local_file_that_is_missing_has_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(CONTENT)
    with pytest.raises(WeightsMissing, match=r"there is no file 'x\.onx'") as caught:
        weights.locate(Weights("x.onx"), tmp_path)
    assert "x.onnx" in caught.value.hint


@pytest.mark.parametrize("address", ["../secret", "linked", "/etc/passwd", "inside"])
def test_a_local_file_stays_below_the_folder(tmp_path: Path, address: str) -> None:
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(CONTENT)
    (folder / "linked").symlink_to(tmp_path / "secret")
    for call in (weights.locate, weights.read, weights.verify):
        with pytest.raises(WeightsMissing):
            call(Weights(address), folder)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.onnx")
    for call in (weights.read, weights.verify):
        with pytest.raises(WeightsBad, match=r"'x\.onnx' is not a regular file"):
            call(Weights("x.onnx"), tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (CONTENT + b"x", "is larger than 2048 bytes"),
        (CONTENT[::-1], f"not {SHA256} as written"),
    ],
)
@pytest.mark.fault("F-51")
def test_a_local_file_that_is_not_what_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", len(CONTENT))
    (tmp_path / "x.onnx").write_bytes(content)
    for call in (weights.read, weights.verify):
        with pytest.raises(WeightsBad, match=said):
            call(weights.parse("x.onnx", SHA256), tmp_path)


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(CONTENT)

    def looked_at(file: int) -> os.stat_result:
        found = os.stat(file)
        path.write_bytes(CONTENT + b"x")
        return found

    monkeypatch.setattr(os, "fstat", looked_at)
    with pytest.raises(WeightsBad, match="changed while it was read"):
        weights.read(Weights("x.onnx"), tmp_path)


def put(kept: Path, content: bytes) -> Path:
    """The file that the cache has for SHA256, with any content."""
    path = kept / "weights" / SHA256[:2] / SHA256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


REMOTE = weights.parse("https://127.0.0.1:1/x.onnx", SHA256)


def test_a_cached_file_that_was_changed_is_refused(kept: Path) -> None:
    path = put(kept, CONTENT)
    assert weights.read(REMOTE, Path()) == CONTENT
    assert weights.verify(REMOTE, Path()) == path
    path.write_bytes(b"y" + CONTENT[1:])
    for call in (weights.read, weights.verify):
        with pytest.raises(WeightsBad, match=f"not {SHA256} as written"):
            call(REMOTE, Path())


def test_a_cached_file_is_no_link(kept: Path, tmp_path: Path) -> None:
    path = put(kept, CONTENT)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsBad, match="cannot be read"):
        weights.read(REMOTE, Path())


def test_a_second_check_reads_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(kept, CONTENT)
    weights.verify(REMOTE, Path())
    monkeypatch.delattr(hashlib, "file_digest")
    weights.verify(REMOTE, Path())


def test_a_changed_file_is_noticed_though_its_times_were_put_back(kept: Path) -> None:
    path = put(kept, CONTENT)
    weights.verify(REMOTE, Path())
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system is coarse
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(WeightsBad):
        weights.verify(REMOTE, Path())


def test_only_some_digests_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "REMEMBERED", 2)
    for name in "abc":
        (tmp_path / name).write_bytes(CONTENT)
        weights.verify(weights.parse(name, SHA256), tmp_path)
    monkeypatch.delattr(hashlib, "file_digest")
    for name in "bc":
        weights.verify(weights.parse(name, SHA256), tmp_path)
    with pytest.raises(AttributeError, match="file_digest"):
        weights.verify(weights.parse("a", SHA256), tmp_path)
