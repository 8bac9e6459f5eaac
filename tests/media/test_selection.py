"""Which tracks of a file are read, and what is said of the others."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from composer.errors import MediaError
from composer.media.reader import Reader
from composer.node.formats import Carrier
from composer.testing import bars, picture
from tests.media.films import (
    Sound,
    beep,
    grey,
    numbered,
    write_film,
)
from tests.media.read import images_of


@pytest.mark.parametrize(
    ("name", "time_base", "max_fps", "rate"),
    [
        ("a.mp4", Fraction(1001, 30_000), 0, Fraction(30_000, 1001)),
        ("a.mkv", Fraction(1, 24), 0, Fraction(24)),
        ("a.ts", Fraction(1, 25), 0, Fraction(25)),
        ("a.mp4", Fraction(1, 50), 20, Fraction(20)),
        ("a.mp4", Fraction(1, 10), 20, Fraction(10)),
    ],
)
def test_the_rate_is_that_of_the_container(
    tmp_path: Path, name: str, time_base: Fraction, max_fps: float, rate: Fraction
) -> None:
    path = write_film(tmp_path / name, numbered(10), time_base=time_base)
    assert Reader(str(path), layout="yuv420p", max_fps=max_fps).rate == rate
    assert Reader(str(path), layout="yuv420p").rate == 1 / time_base


def test_the_cover_of_an_album_is_not_a_picture_track(tmp_path: Path) -> None:
    plain = write_film(tmp_path / "a.m4a", sound=Sound(beep(0.2, 1)))
    path = tmp_path / "b.m4a"
    with av.open(str(plain)) as source, av.open(str(path), "w", "mp4") as file:
        track = file.add_stream_from_template(source.streams.audio[0])
        cover: Any = file.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        still = grey(100, 16, 16, "yuvj420p")
        still.pts, still.time_base = 0, Fraction(1, 25)
        file.mux([*cover.encode(still), *cover.encode(None)])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = track
                file.mux(packet)

    with pytest.raises(MediaError, match=r"b\.m4a has no picture track; it has sound \(aac, mono"):
        Reader(str(path), layout="yuv420p")


def test_a_file_without_sound_gives_its_pictures(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(5))

    assert len(images_of(path, sound=Carrier.PACKET)) == 5


TOO_LARGE = "its pictures of 640x480 are too large; 4096 pixels are the most"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.mp4", f"^a.mp4: {TOO_LARGE}$"),
        ("a.ts", f"^a.ts: {TOO_LARGE}$"),
        ("a.png", "^a.png holds nothing that can be decoded$"),
    ],
)
def test_pictures_beyond_the_limit_are_refused(tmp_path: Path, name: str, said: str) -> None:
    image = picture(bars(640, 480), "rgb24" if name == "a.png" else "yuv420p")
    path = tmp_path / name
    if name == "a.png":
        PIL.Image.fromarray(bars(640, 480)).save(path)
    else:
        write_film(path, [image] * 3)

    with pytest.raises(MediaError, match=said):
        images_of(path, max_pixels=64 * 64)


def test_the_best_track_is_read_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mkv"
    write_tracks(path, write_film(tmp_path / "b.mkv", sound=Sound(beep(0.5, 1))), 2)

    reader = Reader(str(path), sound=Carrier.PACKET)

    assert len(list(reader.read())) > 40
    assert [record.message for record in caplog.records] == [
        "a.mkv has 2 tracks of sound: number 0 of the file is read, sound (aac, mono, 48000 Hz)"
    ]


@pytest.mark.parametrize("sound", [Carrier.PACKET, Carrier.FRAME])
def test_a_track_without_a_decoder_gives_way_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sound: Carrier
) -> None:
    path = tmp_path / "a.mkv"
    write_tracks(path, write_film(tmp_path / "b.mkv", sound=Sound(beep(0.5, 1))), 2)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ", 1))

    reader = Reader(str(path), sound=sound)

    assert len(list(reader.read())) > 40
    assert reader.lost_tracks == []
    assert "a.mkv: its sound (unknown codec) cannot be decoded" in caplog.text


def write_tracks(path: Path, source: Path, count: int) -> None:
    """The first track of a film several times."""
    with av.open(str(source)) as given, av.open(str(path), "w") as file:
        tracks = [file.add_stream_from_template(given.streams[0]) for _ in range(count)]
        for packet in given.demux():
            for track in tracks if packet.size else ():
                copied = av.Packet(bytes(packet))
                copied.pts, copied.dts, copied.time_base = packet.pts, packet.dts, packet.time_base
                copied.stream = track
                file.mux(copied)
