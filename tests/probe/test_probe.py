"""What a container holds: made here, and looked at."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from composer.errors import MediaError
from composer.media.mpegts import psi
from composer.probe import oddities
from composer.probe import probe as probing
from composer.probe.probe import Image, Probed, TrackInfo, probe
from tests.clips import BIKES, BUNNY, fetched
from tests.media import films, transport
from tests.media.films import Sound


def film(folder: Path, name: str = "film.mp4", count: int = 20, **options: Any) -> Path:
    return films.write_film(folder / name, films.numbered(count), **options)


def pictures(probed: Probed) -> tuple[TrackInfo, Image]:
    track = next(each for each in probed.tracks if each.image)
    assert track.image is not None
    return track, track.image


def codes(probed: Probed) -> list[str]:
    return [each.code for each in oddities.found(probed)]


def of_bytes(folder: Path, data: bytes) -> Probed:
    (folder / "stream.ts").write_bytes(data)
    return probe(str(folder / "stream.ts"))


# what is there


def test_a_plain_film(tmp_path: Path) -> None:
    probed = probe(str(film(tmp_path, options={"g": "10", "bf": "0"})))
    track, image = pictures(probed)
    assert (probed.name, probed.seconds, probed.whole) == ("film.mp4", 0.8, True)
    assert (track.codec, track.packets, track.decoded, track.nominal) == ("h264", 20, 20, 25)
    assert (image.width, image.height, image.layout, image.rotation) == (64, 48, "yuv420p", 0)
    assert (image.pixel_shape, image.shape, image.order) == ("", "", "progressive")
    assert (image.keys.starts, image.keys.longest, image.reordered) == ({"idr": 2}, 10, False)
    assert (track.times.rate, track.times.steady) == (25, True)
    assert probed.chosen["video"].why == "the only one"
    assert (codes(probed), probed.unreadable, probed.session) == ([], "", None)


def test_a_real_clip_with_sound() -> None:
    probed = probe(str(fetched(BUNNY)))
    sound = probed.tracks[1].sound
    assert sound is not None
    assert (sound.rate, sound.layout) == (48_000, "5.1")
    assert (probed.chosen["video"].track, probed.chosen["audio"].track) == (0, 1)
    assert codes(probed) == []


def test_pictures_that_are_not_in_order() -> None:
    assert pictures(probe(str(fetched(BIKES))))[1].reordered


def test_only_as_much_is_read_as_was_asked_for() -> None:
    probed = probe(str(fetched(BIKES)), seconds=2)
    assert (probed.whole, 2 <= probed.read < 2.2) == (False, True)
    assert 50 <= probed.tracks[0].packets <= 55


def test_no_more_is_decoded_than_the_first_seconds(tmp_path: Path) -> None:
    track, _ = pictures(probe(str(film(tmp_path, count=200))))
    assert (track.packets, 110 <= track.decoded <= 150) == (200, True)


def test_colour_tags(tmp_path: Path) -> None:
    path = film(tmp_path, color_primaries=9, color_trc=16, colorspace=9, color_range=2)
    assert pictures(probe(str(path)))[1].color == {
        "range": "full",
        "matrix": "bt2020nc",
        "primaries": "bt2020",
        "transfer": "smpte2084",
    }


def test_alpha(tmp_path: Path) -> None:
    path = film(tmp_path, "film.mov", codec="qtrle", layout="argb")
    assert pictures(probe(str(path)))[1].alpha


def test_language_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as file:
        track: Any = file.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.metadata["language"], track.disposition = "deu", av.stream.Disposition.forced
        for image in films.numbered(3):
            file.mux(track.encode(image))
        file.mux(track.encode(None))
    found = probe(str(path)).tracks[0]
    assert (found.language, found.marks) == ("deu", ("forced",))


def test_a_still_picture(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    films.grey(90, layout="gray").save(str(path))
    track, image = pictures(probe(str(path)))
    assert (track.codec, image.width, track.times.rate) == ("png", 64, 0)


# what would be taken


def two_tracks(folder: Path, default: int) -> Path:
    path = folder / "two.mkv"
    with av.open(str(path), "w") as file:
        tracks: list[Any] = [file.add_stream("libx264", rate=25) for _ in range(2)]
        for number, track in enumerate(tracks):
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
            wanted = av.stream.Disposition.default
            track.disposition = wanted if number == default else av.stream.Disposition(0)
        for number, image in enumerate(films.numbered(5)):
            image.pts, image.time_base = number, Fraction(1, 25)
            for track in tracks:
                file.mux(track.encode(image))
        for track in tracks:
            file.mux(track.encode(None))
    return path


@pytest.mark.parametrize("default", [0, 1])
def test_the_track_that_is_marked_is_taken(tmp_path: Path, default: int) -> None:
    probed = probe(str(two_tracks(tmp_path, default)))
    choice = probed.chosen["video"]
    assert (choice.track, choice.why) == (default, "of 2 the one that is marked as default")
    (odd,) = oddities.found(probed)
    assert odd.said == "2 tracks of pictures: 0, 1"
    assert odd.advice == f"decode takes track {default}, and the others are left out"


def test_what_a_session_takes(tmp_path: Path) -> None:
    probed = of_bytes(tmp_path, transport.stream(audio="aac", frames=20))
    assert probed.session is not None
    assert probed.session.tracks == {"video": (256, "h264"), "audio": (257, "aac")}
    assert probed.session.units["video"] == 20
    assert codes(probed) == []


# what is odd


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"rotation": (90, False, False)}, "rotated"),
        ({"sample_aspect_ratio": Fraction(64, 45)}, "pixel-shape"),
        ({"options": {"x264-params": "tff=1"}}, "interlaced"),
        ({"pts": [0, 1, 3, 4, 8, 9, 15, 16], "count": 8}, "variable-rate"),
        ({"pts": [*range(15), *range(20, 35)], "count": 30}, "holes"),
        ({"options": {"g": "300"}, "count": 290}, "far-keys"),
    ],
)
def test_pictures_that_are_odd(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    assert codes(probe(str(film(tmp_path, **options)))) == [code]


def test_a_size_that_is_odd(tmp_path: Path) -> None:
    path = films.write_film(
        tmp_path / "odd.mp4", [films.grey(90, 65, 49, "yuv444p")], layout="yuv444p"
    )
    assert codes(probe(str(path))) == ["odd-size"]


def test_sound_that_begins_late(tmp_path: Path) -> None:
    sound = Sound(films.beep(0.1, 0.5), seconds=2)
    probed = probe(str(film(tmp_path, "film.mkv", count=60, sound=sound)))
    (odd,) = oddities.found(probed)
    assert (odd.code, odd.track) == ("apart", 1)
    assert "begins 1.98 s after track 0" in odd.said  # an encoder's own delay is in front


def test_times_that_a_container_does_not_keep(tmp_path: Path) -> None:
    probed = probe(str(film(tmp_path, "film.avi", options={"bf": "2"})))
    track, image = pictures(probed)
    assert (track.times.missing, track.times.rate, image.reordered) == (20, 25, True)
    assert codes(probed) == ["times-missing"]


def test_a_stream_that_begins_between_key_pictures(tmp_path: Path) -> None:
    data = transport.stream(frames=40, g="20", bf="0")
    packets = transport.packets(data)
    tables = [each for each in packets if transport.pid(each) in (0, 4096)][:2]
    starts = [
        at for at, each in enumerate(packets) if transport.pid(each) == 256 and each[1] & 0x40
    ]
    probed = of_bytes(tmp_path, b"".join(tables + packets[starts[5] :]))
    assert "before-key" in codes(probed)
    assert pictures(probed)[1].keys.before == 15


def test_sets_that_come_once(tmp_path: Path) -> None:
    options = {"g": "10", "x264-params": "repeat-headers=1"}
    path = film(tmp_path, "film.h264", options=options)
    twice = path.read_bytes()
    second = twice.rindex(b"\x00\x00\x00\x01\x67")
    slice_ = twice.index(b"\x00\x00\x01\x65", second)
    probed = of_bytes(tmp_path, twice)
    assert "sets-once" not in codes(probed)
    assert "sets-once" in codes(of_bytes(tmp_path, twice[:second] + twice[slice_:]))


def test_several_pictures_in_one_pes_packet(tmp_path: Path) -> None:
    path = tmp_path / "stream.ts"
    source: Any
    with av.open(str(film(tmp_path, "film.h264", 40, options={"bf": "0"}))) as source:
        pictures_of = [bytes(each) for each in source.demux() if each.size]
        stream = source.streams.video[0]
        with av.open(str(path), "w", "mpegts") as target:
            track: Any = target.add_stream_from_template(stream)
            for at in range(0, 40, 4):
                packet = av.Packet(b"".join(pictures_of[at : at + 4]))
                packet.pts = packet.dts = at
                packet.time_base, packet.stream = Fraction(1, 25), track
                target.mux(packet)
    probed = probe(str(path))
    assert {"pes-layout", "times-missing"} <= set(codes(probed))
    said = next(each.said for each in oddities.found(probed) if each.code == "pes-layout")
    assert said == "40 pictures of track 0 in 10 PES packets: several pictures in one"


def test_packets_that_are_lost(tmp_path: Path) -> None:
    data = transport.stream(frames=20)
    packets = transport.packets(data)
    middle = [at for at, each in enumerate(packets) if transport.pid(each) == 256][20]
    probed = of_bytes(tmp_path, b"".join(packets[:middle] + packets[middle + 3 :]))
    assert "lost-packets" in codes(probed)


def test_a_track_that_only_libavformat_reads(tmp_path: Path) -> None:
    """It guesses the codec of a stream type that nobody knows."""
    data = transport.stream(audio="aac", frames=10)
    packets = [
        each if transport.pid(each) != 4096 else _as_type(each, 0x0F, 0xA0)
        for each in transport.packets(data)
    ]
    probed = of_bytes(tmp_path, b"".join(packets))
    assert codes(probed) == ["no-decoder", "other-session"]
    assert [each.said for each in oddities.found(probed)] == [
        "tracks of stream type 0xa0, which nothing here can read",
        "of sound a session takes nothing, byoc run takes PID 257",
    ]


def _as_type(table: bytes, old: int, new: int) -> bytes:
    """A programme map with another stream type for the track of sound."""
    body = bytearray(table)
    body[body.index(bytes([old, 0xE1, 0x01]), 5)] = new
    end = 8 + (body[6] & 0x0F) * 256 + body[7]
    body[end - 4 : end] = psi.crc(bytes(body[5 : end - 4])).to_bytes(4, "big")
    return bytes(body)


def test_a_track_that_comes_on_the_way(tmp_path: Path) -> None:
    """So late that libavformat has made up its mind."""
    early = transport.stream(frames=40, g="20", bf="0")
    late = transport.stream(audio="aac", frames=20)
    nothing = (b"\x47\x1f\xff\x10" + bytes(184)) * 30_000
    probed = of_bytes(tmp_path, early + nothing + late + nothing + early)
    (odd,) = [each for each in oddities.found(probed) if each.code == "late-track"]
    assert odd.said == "PID 257 is named by a later map"
    assert (len(probed.tracks), probed.whole) == (1, True)


def test_a_clock_that_jumps(tmp_path: Path) -> None:
    one = transport.stream(frames=30, bf="0")
    source: Any
    path = tmp_path / "later.ts"
    (tmp_path / "one.ts").write_bytes(one)
    with (
        av.open(str(tmp_path / "one.ts")) as source,
        av.open(str(path), "w", "mpegts", options={"mpegts_copyts": "1"}) as target,
    ):
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.size:
                packet.pts += 90_000 * 100
                packet.dts += 90_000 * 100
                packet.stream = track
                target.mux(packet)
    probed = of_bytes(tmp_path, one + path.read_bytes())
    assert {"times-jump", "times-back"} & set(codes(probed)) == {"times-jump"}
    assert not pictures(of_bytes(tmp_path, path.read_bytes() + one))[1].reordered


def test_sound_that_changes_on_the_way(tmp_path: Path) -> None:
    both = b""
    for layout in ("stereo", "mono"):
        sound = Sound(np.zeros((1 if layout == "mono" else 2, 24_000), np.float32), layout=layout)
        path = films.write_film(tmp_path / f"{layout}.aac", sound=sound)
        both += path.read_bytes()
    (tmp_path / "both.aac").write_bytes(both)
    probed = probe(str(tmp_path / "both.aac"))
    assert codes(probed) == ["changes"]
    assert probed.tracks[0].sound is not None
    assert probed.tracks[0].sound.forms == ("48000 Hz stereo", "48000 Hz mono")


def test_a_row_with_a_gap(tmp_path: Path) -> None:
    for number in (1, 2, 4, 7):
        films.grey(90, layout="gray").save(str(tmp_path / f"{number:03d}.png"))
    probed = probe(str(tmp_path / "%03d.png"))
    (odd,) = oddities.found(probed)
    assert probed.row == (1, 2, 4, 7)
    assert (odd.code, odd.said) == ("row-gap", "the row goes from 1 to 7, without 3, 5, 6")


# what cannot be read


def test_what_is_no_media(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no media")
    with pytest.raises(MediaError, match=r"text\.mp4 is not a media file that can be read"):
        probe(str(tmp_path / "text.mp4"))
    with pytest.raises(MediaError, match=r"none\.mp4: there is no such file"):
        probe(str(tmp_path / "none.mp4"))


def test_a_file_that_is_broken_off(tmp_path: Path) -> None:
    whole = film(tmp_path, "film.mkv", count=60).read_bytes()
    (tmp_path / "torn.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    probed = probe(str(tmp_path / "torn.mkv"))
    assert 0 < probed.tracks[0].packets < 60
    assert probed.unreadable == ""


def test_pictures_that_no_decoder_reads(tmp_path: Path) -> None:
    path = film(tmp_path, count=10, options={"bf": "0"})
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - at)
    path.write_bytes(data)
    probed = probe(str(path))
    assert probed.unreadable == "film.mp4 holds nothing that can be decoded"
    assert "not-decoded" in codes(probed)


def test_subtitles_alone(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    probed = probe(str(tmp_path / "words.srt"))
    assert probed.unreadable.startswith(
        "words.srt has no track that can be decoded; it has subtitle"
    )


@pytest.mark.fault("F-27")
def test_pictures_that_are_too_large_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path)
    for module in (probing, oddities):
        monkeypatch.setattr(module, "MAX_PIXELS", 64 * 48 - 1)
    probed = probe(str(path))
    assert (probed.tracks[0].decoded, codes(probed)) == (0, ["too-large"])


def test_every_oddity_has_a_code_that_is_explained() -> None:
    text = Path(oddities.__file__).read_text()
    assert set(re.findall(r'Oddity\(\s*"([a-z-]+)"', text)) == set(oddities.CODES)
