"""encode turns its settings into a file, and says what it cannot do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from composer.errors import MediaError
from composer.media.mpegts.demuxer import Demuxer, Track
from composer.node.formats import PACKETS, Carrier, Format, Kind
from composer.node.node import Context, change_of
from composer.pictures import pixels
from composer.session.egress import Egress
from composer.session.ingress import Ingress
from composer.testing import Bench, bars, picture, sound
from nodes.decode import Decode
from nodes.encode import Encode, bits_per_second
from tests.media.films import (
    Sound,
    assert_bars,
    beep,
    number,
    numbered,
    read_film,
    write_film,
)
from tests.media.streams import matrix
from tests.media.streams.matrix import Choice
from tests.media.transport import stream

IMAGE = Format(Kind.PICTURE, "yuv420p", Carrier.FRAME)
SAMPLES = Format(Kind.AUDIO, "samples", Carrier.FRAME)


@contextmanager
def encoding(node: Encode, sink: Path | str, *ports: str, **ctx: Any) -> Iterator[Bench]:
    formats = {"image": IMAGE, "audio": PACKETS}
    inputs = {port: formats[port] for port in ports or ("image",)}
    folder = ctx.pop("folder", Path("."))
    node.setup(Context("out", folder, inputs, {}, sink=str(sink), **ctx))
    try:
        yield Bench(node)
    finally:
        node.close()


def encoded(node: Encode, sink: Path, images: Any, **ctx: Any) -> None:
    with encoding(node, sink, **ctx) as run:
        for index, image in enumerate(images):
            run(image=image, at=index / 25)
        run.flush()


@pytest.mark.parametrize(
    ("name", "settings", "codec"),
    [
        pytest.param("a.mp4", {}, "h264", id="mp4"),
        pytest.param("a.mkv", {"codec": "hevc"}, "hevc", id="hevc"),
        pytest.param("a.webm", {}, "vp9", id="webm"),
        pytest.param("a.mp4", {"codec": "av1", "preset": "12"}, "av1", id="av1"),
        pytest.param("a.ts", {}, "h264", id="ts"),
        pytest.param("a.mov", {"codec": "mjpeg"}, "mjpeg", id="mjpeg"),
    ],
)
@pytest.mark.parametrize("layout", ["yuv420p", "rgb24", "rgba", "gray"])
def test_every_layout_goes_into_every_file(
    tmp_path: Path, name: str, settings: dict[str, Any], codec: str, layout: str
) -> None:
    encoded(Encode(**settings), tmp_path / name, [picture(bars(256, 64), layout)] * 12)

    film = read_film(tmp_path / name)
    assert film.tracks["video"].codec.canonical_name == codec
    assert len(film.images) == 12
    if layout != "gray" and codec == "h264":
        assert_bars(film.images[5])


def test_a_picture_that_is_held_is_shown_at_each_of_its_moments(tmp_path: Path) -> None:
    held = picture(bars(64, 48))
    encoded(Encode(), tmp_path / "a.mp4", [held] * 5)

    assert [round(float(time) * 25) for time in read_film(tmp_path / "a.mp4").times] == [*range(5)]
    assert held.pts == 0


@pytest.mark.parametrize(
    ("written", "bits"),
    [
        ("2M", 2_000_000),
        ("800k", 800_000),
        ("1.5m", 1_500_000),
        (64_000, 64_000),
        ("96000", 96_000),
    ],
)
def test_bit_rates(written: int | str, bits: int) -> None:
    assert bits_per_second(written) == bits
    assert Encode(bitrate=written).bitrate == bits


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"crf": 20, "bitrate": "2M"}, "crf and bitrate exclude each other", id="two qualities"
        ),
        pytest.param({"bitrate": "fast"}, "a bit rate is written 2M, 800k or 2000000", id="words"),
        pytest.param({"bitrate": "9999999M"}, "between 1k and 1000M", id="too much"),
        pytest.param({"audio_bitrate": 3}, "between 1k and 1000M", id="too little"),
        pytest.param({"preset": "quick"}, "preset", id="preset"),
        pytest.param({"keyframe_s": -1}, "keyframe_s", id="keyframes"),
        pytest.param({"codec": "divx"}, "codec", id="codec"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Encode(**settings)


def test_settings_reach_the_codec(tmp_path: Path) -> None:
    node = Encode(options={"x264-params": "bframes=0:ref=1"}, keyframe_s=0.2, preset="medium")
    encoded(node, tmp_path / "a.mp4", numbered(20))

    film = read_film(tmp_path / "a.mp4")
    assert [round(float(time) * 25) for time in film.keyframes] == [0, 5, 10, 15]
    assert film.tracks["video"].has_b_frames == 0


def test_without_a_name_it_says_how_to_give_one(tmp_path: Path) -> None:
    with (
        pytest.raises(MediaError, match="there is no file to write: give --output FILE"),
        encoding(Encode(), ""),
    ):
        pass


def test_its_own_path_is_used_when_the_run_names_none(tmp_path: Path) -> None:
    with encoding(Encode(path="own.mp4"), "", folder=tmp_path) as run:
        run(image=numbered(1)[0])
        run.flush()
    assert (tmp_path / "own.mp4").is_file()


def test_its_own_path_stays_below_the_folder(tmp_path: Path) -> None:
    for path in ("../a.mp4", "/tmp/a.mp4"):
        with (
            pytest.raises(MediaError, match="outside the pipeline's folder"),
            encoding(Encode(path=path), "", folder=tmp_path),
        ):
            pass


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(3))
    before = path.read_bytes()
    with (
        pytest.raises(MediaError, match="is the input, too; give another --output"),
        encoding(Encode(), path, source=str(path)),
    ):
        pass
    assert path.read_bytes() == before


def test_nothing_given_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(MediaError, match="no picture or sound reached"),
        encoding(Encode(), tmp_path / "a.mp4", "image", "audio") as run,
    ):
        run.flush()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_a_playable_file(tmp_path: Path) -> None:
    with encoding(Encode(), tmp_path / "a.mp4", "image", "audio") as run:
        for index, image in enumerate(numbered(10)):
            run(image=image, at=index / 25)
        # close() without flush(), as after Ctrl-C
    assert [number(image) for image in read_film(tmp_path / "a.mp4").images] == [*range(10)]


def test_pictures_and_sound_of_a_file_travel_through(tmp_path: Path) -> None:
    source = write_film(
        tmp_path / "a.mkv", numbered(50), sound=Sound(beep(1.0, 2, channels=2), "ac3")
    )
    decode = Decode()
    decode.setup(
        Context("in", tmp_path, {}, {"image": IMAGE, "audio": PACKETS}, source=str(source))
    )
    with encoding(Encode(), tmp_path / "b.mp4", "image", "audio", source=str(source)) as run:
        for tracks in decode.process():
            frame: Any = tracks.image
            item: Any = frame.value if frame is not None else tracks.audio
            seconds = float(item.pts * item.time_base)
            if frame is not None:
                run(image=item, at=seconds)
            else:
                run(audio=tracks.audio, at=seconds)
        decode.close()
        run.flush()

    film, before = read_film(tmp_path / "b.mp4"), read_film(source)
    assert [number(image) for image in film.images] == list(range(50))
    assert film.tracks["audio"].name == "ac3"
    assert [each[2] for each in film.packets["audio"]] == [
        each[2] for each in before.packets["audio"]
    ]
    assert abs(film.beep_at() - 1.0) < 0.005


def test_decoded_sound_is_encoded(tmp_path: Path) -> None:
    with encoding(Encode(audio_bitrate="96k"), tmp_path / "a.mp4", "audio") as run:
        run(audio=sound(beep(0.25, 1)))
        run.flush()

    assert abs(read_film(tmp_path / "a.mp4").beep_at() - 0.25) < 0.005


def test_pictures_without_any_time_of_their_own(tmp_path: Path) -> None:
    images = [pixels.from_rgb(bars(64, 48), "yuv420p") for _ in range(3)]
    encoded(Encode(), tmp_path / "a.mp4", images)

    assert len(read_film(tmp_path / "a.mp4").images) == 3


def test_no_param_reaches_the_file() -> None:
    assert {change_of(Encode, name) for name in Encode.model_fields} == {"fixed"}


def test_closing_without_setup_is_fine() -> None:
    Encode().close()


@pytest.mark.parametrize(("audio", "tracks"), [("aac", 2), ("", 1)])
def test_a_session_says_first_which_tracks_its_input_has(audio: str, tracks: int) -> None:
    egress, ingress = Egress(), Ingress()
    ingress.put(stream(audio=audio, preset="ultrafast"))
    ingress.look()
    with encoding(Encode(), "", "image", "audio", live=True, egress=egress, ingress=ingress) as run:
        for index, image in enumerate(numbered(5)):
            run(image=image, at=index / 25)
        run.flush()
    assert egress.counts.packets.total() == 5
    assert len(egress._tracks) == tracks


def test_a_session_refuses_what_cannot_be_streamed() -> None:
    with (
        pytest.raises(MediaError, match="a session cannot send"),
        encoding(Encode(codec="vp9"), "", live=True, egress=Egress()),
    ):
        pass


@pytest.mark.parametrize(
    ("settings", "sound"),
    [
        ({}, ()),
        ({"audio": "opus"}, ()),
        ({"audio": "auto", "audio_bitrate": "32k"}, ()),
        ({"audio": "opus", "audio_bitrate": "32k"}, ("samples",)),
        ({"audio": "aac"}, ("samples",)),
        ({"path": "a.ts"}, ("samples",)),
        ({"audio": "copy"}, ("coded",)),
    ],
)
def test_the_plan_of_a_session_knows_which_sound_is_coded_anew(
    settings: dict[str, Any], sound: tuple[str, ...]
) -> None:
    node = Encode(**settings)
    assert node.live_layouts("audio") == sound
    assert node.live_layouts("image") == ()


@pytest.mark.parametrize(("carrier", "told"), [(PACKETS, 1), (SAMPLES, 2)])
def test_a_session_tells_the_channels_of_sound_that_is_copied(carrier: Format, told: int) -> None:
    """What a node makes of it may have others."""
    egress, ingress = Egress(), Ingress()
    ingress.put(matrix.build(Choice(sound="opus-mono")).data)
    ingress.look()
    node = Encode()
    node.setup(
        Context(
            "out",
            Path(),
            {"image": IMAGE, "audio": carrier},
            {},
            live=True,
            egress=egress,
            ingress=ingress,
        )
    )
    Bench(node)(image=numbered(1)[0])
    node.close()
    egress.end()
    (track,) = [each for each in program_of(egress) if each.kind == "audio"]
    assert track.channels == told


def program_of(egress: Egress) -> tuple[Track, ...]:
    """The tracks that the output says it has."""

    async def read() -> list[bytes]:
        parts = []
        while (part := await egress.read()) is not None:
            parts += [part] if isinstance(part, bytes) else []
        return parts

    demuxer = Demuxer()
    for part in asyncio.run(read()):
        demuxer.feed(part)
    return demuxer.tracks


def test_a_path_of_its_own_is_a_file_in_a_session_too(tmp_path: Path) -> None:
    egress = Egress()
    with encoding(Encode(path="a.ts"), "", live=True, egress=egress, folder=tmp_path) as run:
        run(image=numbered(1)[0])
        run.flush()
    assert (tmp_path / "a.ts").is_file()
    assert egress.counts.packets.total() == 0
