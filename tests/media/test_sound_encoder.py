"""Samples into packets: one run, whatever their times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from composer.media.sound_encoder import SoundEncoder, SoundSettings
from tests.media.films import (
    Sound,
    beep,
    numbered,
    read_film,
    write_film,
)
from tests.media.written import blocks_of, packets_of, timed, write


@pytest.mark.parametrize(
    ("name", "source", "asked", "codec"),
    [
        pytest.param("a.webm", "aac", "auto", "opus", id="webm takes no aac"),
        pytest.param("a.mp4", "mp2", "auto", "aac", id="mp4 takes no mp2"),
        pytest.param("a.mp4", "ac3", "opus", "opus", id="asked for opus"),
        pytest.param("a.mkv", "libopus", "aac", "aac", id="asked for aac"),
        pytest.param("a.mkv", "libopus", "auto", "opus", id="copied opus"),
        pytest.param("a.ts", "pcm_s16le", "auto", "aac", id="pcm"),
        pytest.param("a.ts", "adpcm_ms", "auto", "aac", id="several blocks in a packet"),
        pytest.param("a.mp4", "wmav2", "auto", "aac", id="wma"),
    ],
)
def test_a_tone_stays_at_its_time(
    tmp_path: Path, name: str, source: str, asked: str, codec: str
) -> None:
    ending = {"adpcm_ms": "wav", "wmav2": "wma"}.get(source, "mkv")
    path = write_film(tmp_path / f"in.{ending}", sound=Sound(beep(1.25), source))
    heard_at = read_film(path).beep_at()
    images = timed(numbered(75), range(0, 75 * 3600, 3600))

    film = write(tmp_path / name, images, packets_of(path), coded=SoundSettings(asked))

    assert film.tracks["audio"].codec.canonical_name == codec
    start = float(film.times[0]) if name == "a.ts" else 0
    assert abs(film.beep_at() - start - heard_at) < 0.005
    assert abs(heard_at - 1.25) < 0.05  # MP2 and WMA have a delay that no header tells


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_samples_of_any_rate_are_encoded(tmp_path: Path, name: str, rate: int) -> None:
    film = write(tmp_path / name, blocks=blocks_of(beep(1.5, rate=rate), rate, at=2))

    assert abs(film.beep_at() - 3.5) < 0.005


def test_sound_that_begins_late_keeps_its_offset(tmp_path: Path) -> None:
    images = timed(numbered(50), range(0, 50 * 3600, 3600))

    film = write(tmp_path / "a.mp4", images, blocks_of(beep(0.5, 1), at=0.75))

    assert film.times[0] == 0
    assert abs(film.beep_at() - 1.25) < 0.005


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    tone = beep(0, 0.2)
    parts = [*blocks_of(tone), *blocks_of(tone, at=0.7)]

    film = write(tmp_path / "a.mkv", blocks=parts)

    loud = np.abs(film.samples[0]) > 0.2
    place = int(0.45 * 48_000)
    assert not loud[int(0.25 * 48_000) : int(0.65 * 48_000)].any()
    second = film.sound_start + (place + int(np.argmax(loud[place:]))) / 48_000
    assert abs(second - 0.7) < 0.005


def test_an_overlap_is_cut(tmp_path: Path) -> None:
    parts = [*blocks_of(beep(5, 1)), *blocks_of(beep(1.0, 2), at=0.5)]

    film = write(tmp_path / "a.mkv", blocks=parts)

    assert abs(film.beep_at() - 1.5) < 0.005


def test_rounded_times_do_not_add_up(tmp_path: Path) -> None:
    """Two minutes of sound whose times are rounded to 1 ms, as in Matroska."""
    blocks = blocks_of(beep(119.5, 120, rate=44_100), 44_100, size=1024)
    for index, block in enumerate(blocks):
        block.pts, block.time_base = round(1000 * index * 1024 / 44_100), Fraction(1, 1000)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 119.5) < 0.001
    assert abs(film.samples.shape[1] / film.rate - 120) < 0.05


def test_unsteady_times_leave_the_samples_alone(tmp_path: Path) -> None:
    time = np.arange(96_000) / 48_000
    blocks = blocks_of(0.5 * np.sin(2 * np.pi * 1000 * time)[None].astype(np.float32))
    for index, block in enumerate(blocks):
        block.pts += (0, 400, -300, 200)[index % 4]

    film = write(tmp_path / "a.mkv", blocks=blocks)

    spectrum = np.abs(np.fft.rfft(film.samples[0][24_000:72_000])) ** 2
    assert spectrum[1000] / spectrum.sum() > 0.98


@pytest.mark.parametrize(
    ("name", "layout", "wanted"),
    [
        pytest.param("a.mp4", "5.1(side)", "5.1", id="aac keeps 5.1"),
        pytest.param("a.webm", "5.1(side)", "5.1", id="opus keeps 5.1"),
        pytest.param("a.mp4", "7.1", "5.1", id="7.1 becomes 5.1"),
        pytest.param("a.webm", "4.0", "stereo", id="opus makes stereo of 4.0"),
        pytest.param("a.mp4", "mono", "mono", id="mono"),
    ],
)
def test_channels(tmp_path: Path, name: str, layout: str, wanted: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    packed = beep(0.1, 0.5, channels=channels).T.reshape(1, -1)
    block = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "flt", layout)
    block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), 0

    film = write(tmp_path / name, blocks=[block])

    assert film.tracks["audio"].layout.name == wanted
    assert abs(film.beep_at() - 0.1) < 0.005


def test_the_kind_of_samples_may_change(tmp_path: Path) -> None:
    first = blocks_of(beep(5, 1))
    second = blocks_of(beep(0.5, 1, rate=44_100, channels=2), 44_100, at=1)

    film = write(tmp_path / "a.mp4", blocks=[*first, *second])

    assert abs(film.beep_at() - 1.5) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 2) < 0.05


def test_integer_samples_with_a_gap_and_an_overlap(tmp_path: Path) -> None:
    blocks = []
    for start in (0, 0.5, 0.9):
        array = (beep(0.45, 0.5, channels=2) * 30_000).astype(np.int16).T.reshape(1, -1)
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(array), "s16", "stereo")
        block.sample_rate, block.time_base = 48_000, Fraction(1, 48_000)
        block.pts = round(start * 48_000)
        blocks.append(block)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 0.45) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 1.4) < 0.05


def test_gaps_and_overlaps_of_eight_planes(tmp_path: Path) -> None:
    resampler = av.AudioResampler("fltp", "7.1", 48_000)
    blocks = []
    for start in (0, 0.7, 1.1):
        tone = beep(0.45, 0.5, channels=8).T.reshape(1, -1)
        packed = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone), "flt", "7.1")
        packed.sample_rate, packed.time_base = 48_000, Fraction(1, 48_000)
        (block,) = resampler.resample(packed)
        block.pts, block.time_base = round(start * 48_000), Fraction(1, 48_000)
        blocks.append(block)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 0.45) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 1.6) < 0.05


def test_a_sound_encoder_needs_no_container() -> None:
    encoder = SoundEncoder(av.CodecContext.create("aac", "w"))
    packets = [packet for block in blocks_of(beep(0.2, 1)) for packet in encoder.encode(block)]
    packets += encoder.finish()

    assert len(packets) in (47, 48, 49)
    assert [packet.pts for packet in packets[:3]] == [-1024, 0, 1024]
