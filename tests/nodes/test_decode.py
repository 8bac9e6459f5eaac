"""decode reads what the plan asked for, as the run or its own settings name it."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from composer import Frame
from composer.errors import MediaError
from composer.media.live_reader import LiveReader
from composer.media.packets import SoundPacket
from composer.node.formats import PACKETS, Carrier, Format, Kind
from composer.node.node import Context, change_of, reads_file
from composer.session.ingress import Ingress
from nodes.decode import Decode, FileItem
from tests.media.films import Sound, beep, number, numbered, write_film
from tests.media.transport import stream

SAMPLES = Format(Kind.AUDIO, "samples", Carrier.FRAME)
CODECS = [
    ("libopus", SoundPacket, {}),
    ("aac", av.AudioFrame, {"sound": "aac is decoded and coded anew"}),
]


@contextmanager
def decoding(
    node: Decode, source: Path | str = "", folder: Path | str = ".", **outputs: Format
) -> Iterator[list[FileItem]]:
    """All that the node gives, with these outputs connected, out of its envelopes."""
    node.setup(Context("source", Path(folder), {}, outputs, source=str(source)))
    try:
        yield [
            each._replace(image=each.image.value) if isinstance(each.image, Frame) else each
            for each in node.process()
        ]
    finally:
        node.close()


def image(layout: str = "yuv420p") -> Format:
    return Format(Kind.PICTURE, layout, Carrier.FRAME)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "a.mp4", numbered(30), sound=Sound(beep(0.5, 1.2)))


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "rgba", "gray"])
def test_pictures_come_in_the_layout_of_the_plan(film: Path, layout: str) -> None:
    with decoding(Decode(), film, image=image(layout)) as given:
        pictures: list[Any] = [tracks.image for tracks in given]

    assert [number(picture) for picture in pictures] == list(range(30))
    assert {picture.format.name for picture in pictures} == {layout}
    assert [picture.pts * picture.time_base for picture in pictures] == [
        Fraction(index, 25) for index in range(30)
    ]


def test_one_of_both_tracks_is_given_at_a_time(film: Path) -> None:
    with decoding(Decode(), film, image=image(), audio=SAMPLES) as given:
        assert all((tracks.image is None) is not (tracks.audio is None) for tracks in given)
        assert {type(item) for tracks in given for item in tracks if item is not None} == {
            av.VideoFrame,
            av.AudioFrame,
        }


def test_what_is_not_connected_is_not_decoded(film: Path) -> None:
    with decoding(Decode(), film, image=image()) as given:
        assert len(given) == 30
    with decoding(Decode(), film, audio=SAMPLES) as given:
        assert all(tracks.image is None for tracks in given)
        assert given


def test_sound_comes_as_packets_where_the_plan_says_so(film: Path) -> None:
    with decoding(Decode(), film, audio=PACKETS) as given:
        pieces: list[Any] = [tracks.audio for tracks in given]

    assert {type(piece) for piece in pieces} == {av.Packet}


@pytest.mark.parametrize(("codec", "kind", "about"), CODECS)
def test_sound_of_a_stream_comes_as_packets_where_they_can_be_copied(
    codec: str, kind: type, about: dict[str, str]
) -> None:
    ingress = Ingress()
    ingress.put(stream(audio=codec))
    ingress.end()
    node = Decode()
    node.setup(Context("source", Path(), {}, {"audio": PACKETS}, live=True, ingress=ingress))
    assert {type(tracks.audio) for tracks in node.process()} == {kind}
    assert node.about() == about
    node.close()


def test_sound_of_a_file_in_a_session_is_samples() -> None:
    assert Decode(path="a.mp4").live_layouts("audio") == ("samples",)
    assert Decode().live_layouts("audio") == ()
    assert Decode(path="a.mp4").live_layouts("image") == ()


def test_a_stream_goes_on_with_samples_where_a_node_comes_that_takes_them() -> None:
    ingress = Ingress()
    ingress.put(stream(audio="libopus"))
    ingress.end()
    node = Decode()
    node.setup(Context("source", Path(), {}, {"audio": PACKETS}, live=True, ingress=ingress))
    given = node.process()
    assert isinstance(next(given).audio, SoundPacket)
    node.adapt(Context("source", Path(), {}, {"audio": SAMPLES}, live=True, ingress=ingress))
    assert isinstance(next(given).audio, av.AudioFrame)
    node.close()


def test_max_fps_keeps_the_times(film: Path) -> None:
    with decoding(Decode(max_fps=5), film, image=image()) as given:
        pictures: list[Any] = [tracks.image for tracks in given]

    assert [number(picture) for picture in pictures] == [0, 5, 10, 15, 20, 25]


def test_its_own_path_comes_before_the_input_of_the_run(film: Path) -> None:
    other = write_film(film.parent / "other.mp4", numbered(3))
    with decoding(Decode(path="other.mp4"), film, folder=other.parent, image=image()) as given:
        assert len(given) == 3


def test_without_a_file_it_says_how_to_name_one() -> None:
    with (
        pytest.raises(MediaError, match="there is nothing to read: give --input FILE"),
        decoding(Decode(), image=image()),
    ):
        pass


def test_it_counts_damage(film: Path) -> None:
    node = Decode()
    assert node.damaged == 0
    with decoding(node, film, image=image()):
        assert node.damaged == 0


def test_no_param_reaches_a_file() -> None:
    assert {name: change_of(Decode, name) for name in Decode.model_fields} == {
        "path": "fixed",
        "max_fps": "fixed",
        "threads": "fixed",
    }
    assert reads_file(Decode, "path")


def test_closing_without_setup_is_fine() -> None:
    Decode().close()


def test_pictures_are_not_given_away() -> None:
    """The decoder predicts from pictures that it gave: the plan copies before a node writes."""
    assert [port.own for port in Decode.outputs] == [False, False]


def test_a_reader_of_a_device_keeps_the_layout_of_what_it_cannot_decode_there() -> None:
    """Tensors have no layout that the host's pictures could be turned into."""
    node = Decode()
    node._reader = LiveReader([], layout="yuv420p")
    port = Format(Kind.PICTURE, "rgb", Carrier.TENSOR, 64, 48, device="cuda:0")
    node.adapt(Context("s", Path(), {}, {"image": port}))
    assert node._reader.layout == "yuv420p"
