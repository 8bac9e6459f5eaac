"""Where decoding may begin, by the NAL units of a picture."""

import io
from typing import Any

import av
import pytest

from composer.media.mpegts import nals
from tests.media import films, transport

START = b"\x00\x00\x00\x01"
SETS = START + b"\x67\x42\xc0\x0a"
IDR = START + b"\x65\x88"
SLICE = START + b"\x41\x9a"
RECOVERY = START + b"\x06\x06\x01\xc4\x80"
LONG = START + b"\x06\x05\xff\x01" + b"x" * 256 + b"\x06\x01\xc4\x80"
NAMED = START + b"\x06\x05\x03abc\x80"


@pytest.mark.parametrize(
    ("data", "start", "sets"),
    [
        (SETS + IDR, "idr", True),
        (IDR, "idr", False),
        (SLICE, "", False),
        (RECOVERY + SLICE, "recovery", False),
        (SETS + LONG + SLICE, "recovery", True),
        (NAMED + SLICE, "", False),
        (SLICE + IDR, "", False),
        (SETS, "", True),
        (b"", "", False),
        (START, "", False),
        (START + b"\x06\xff\xff", "", False),
    ],
)
def test_h264(data: bytes, start: str, sets: bool) -> None:  # noqa: FBT001
    assert nals.head("h264", data, 0) == nals.Head(start, sets)


def test_units_behind_their_lengths() -> None:
    units = [b"\x67\x42", b"\x06\x06\x01\xc4\x80", b"\x41\x9a"]
    data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert nals.head("h264", data, 4) == nals.Head("recovery", sets=True)
    assert nals.head("h264", data[:-1] + b"\xff\xff\xff", 4).start == "recovery"


def starts(source: Any, codec: str) -> list[str]:
    opened: Any
    with av.open(source) as opened:
        stream = opened.streams.video[0]
        extradata = bytes(stream.codec_context.extradata or b"")
        size = nals.length_size(codec, extradata)
        found = [nals.head(codec, bytes(each), size) for each in opened.demux(stream) if each.size]
    return [each.start for each in found]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_idr_pictures_in_each_container(tmp_path: Any, suffix: str) -> None:
    path = films.write_film(
        tmp_path / f"film.{suffix}", films.numbered(20), options={"g": "10", "bf": "0"}
    )
    assert starts(str(path), "h264") == (["idr"] + [""] * 9) * 2


def test_hevc_has_idr_and_cra_pictures() -> None:
    data = transport.stream("libx265", frames=20, **{"x265-params": "keyint=10:log-level=none"})
    found = starts(io.BytesIO(data), "hevc")
    assert (found[0], found.count("cra"), found.count("")) == ("idr", 1, 18)
