"""Sound on its way into a file."""

from pathlib import Path

import av
import pytest

from composer.errors import MediaError
from composer.media.reader import Reader
from composer.media.sound_encoder import SoundSettings
from composer.media.writer import Writer
from composer.node.formats import Carrier
from tests.media.films import (
    Sound,
    beep,
    numbered,
    read_film,
    write_film,
)
from tests.media.written import FAST, blocks_of, moment, packets_of, timed, write


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
@pytest.mark.parametrize("codec", ["ac3", "aac"])
def test_coded_sound_is_copied_bit_by_bit(tmp_path: Path, name: str, codec: str) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1, channels=2), codec))
    coded = read_film(source).packets["audio"]

    film = write(
        tmp_path / name, timed(numbered(25), range(0, 25 * 3600, 3600)), packets_of(source)
    )

    assert film.tracks["audio"].name == codec
    copied = [each[2] for each in film.packets["audio"]]
    if (name, codec) == ("a.ts", "aac"):  # MPEG-TS wants a header of 7 bytes on each
        copied = [each[7:] for each in copied]
    assert copied == [each[2] for each in coded]
    start = float(film.times[0]) if name == "a.ts" else 0
    assert abs(film.beep_at() - start - 0.5) < 0.005


def test_packets_of_mpeg_ts_fit_into_mp4(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.ts", numbered(50), sound=Sound(beep(1.0), "aac"))
    reader = Reader(str(source), layout="yuv420p", sound=Carrier.PACKET)
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings())
    for item in reader.read():
        if isinstance(item, av.VideoFrame):
            writer.picture(item, moment(item))
        else:
            writer.sound(item, moment(item))
    reader.close()
    writer.finish()

    film = read_film(tmp_path / "a.mp4")
    assert len(film.images) == 50
    assert abs(film.beep_at() - float(film.times[0]) - 1.0) < 0.005


def test_copied_packets_are_not_written_to(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1), "ac3"))
    packets = packets_of(source)
    before = [(packet.pts, packet.dts, packet.time_base, packet.stream) for packet in packets]

    write(tmp_path / "a.mp4", blocks=packets)

    after = [(packet.pts, packet.dts, packet.time_base, packet.stream) for packet in packets]
    assert after == before


def test_the_end_of_copied_sound_is_cut_as_in_the_source(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1.003), "libopus"))

    film = write(tmp_path / "a.mkv", blocks=packets_of(source))

    assert film.samples.shape == read_film(source).samples.shape


def test_copy_that_cannot_be_is_told(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1), "mp2"))
    with pytest.raises(MediaError, match=r"^\.mp4 files cannot hold mp2 sound; use audio: aac$"):
        write(tmp_path / "a.mp4", blocks=packets_of(source), coded=SoundSettings("copy"))
    with pytest.raises(MediaError, match="a node works on it, or no kind of file takes it as"):
        write(tmp_path / "b.mp4", blocks=blocks_of(beep(0.1, 1)), coded=SoundSettings("copy"))
