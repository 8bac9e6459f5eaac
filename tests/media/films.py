"""Small films made by PyAV alone, and a look into finished ones, for tests of both ends."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from composer.pictures import pixels
from composer.testing import BARS

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """A track of sound to write: (channels, samples) in -1..1, from `seconds` on."""

    samples: Samples
    codec: str = "aac"
    rate: int = 48_000
    seconds: float = 0
    layout: str = ""


def grey(level: int, width: int = 64, height: int = 48, layout: str = "yuv420p") -> av.VideoFrame:
    """An even picture whose luma is `level`: a number that survives coding."""
    image = av.VideoFrame(width, height, layout)
    for index, plane in enumerate(pixels.planes(image)):
        plane[...] = level if index == 0 else 128
    return image


def numbered(count: int, width: int = 64, height: int = 48) -> list[av.VideoFrame]:
    """Pictures that number() tells apart."""
    return [grey(20 + 4 * (index % 50), width, height) for index in range(count)]


def number(image: av.VideoFrame) -> int:
    luma = pixels.planes(pixels.convert(image, "yuv420p"))[0]
    return round((float(luma.mean()) - 20) / 4)


def write_film(
    path: Path | str,
    images: Sequence[av.VideoFrame] = (),
    *,
    pts: Sequence[int] = (),
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    layout: str = "",
    sound: Sound | None = None,
    container_options: dict[str, str] | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    **context: Any,
) -> Path:
    """Encode pictures at these times (0, 1, 2... when none are given) and a track of sound."""
    with av.open(str(path), "w", container_options=container_options) as file:
        tracks: list[tuple[Any, Iterable[Any]]] = []
        if images:
            video: Any = file.add_stream(codec, rate=round(1 / time_base), options=options or {})
            if rotation is not None:
                video.set_display_rotation(*rotation)
            coder = video.codec_context
            coder.width, coder.height = images[0].width, images[0].height
            coder.pix_fmt, coder.time_base = layout or images[0].format.name, time_base
            for name, value in context.items():
                setattr(coder, name, value)
            tracks.append((video, _timed(images, pts, time_base)))
        if sound is not None:
            audio: Any = file.add_stream(sound.codec, rate=sound.rate)
            audio.bit_rate = 128_000
            audio.layout = sound.layout or ("mono" if len(sound.samples) == 1 else "stereo")
            tracks.append((audio, [_block(sound)]))
        for track, frames in tracks:
            for frame in itertools.chain(frames, [None]):
                file.mux(track.encode(frame))
    return Path(path)


def _timed(
    images: Sequence[av.VideoFrame], pts: Sequence[int], time_base: Fraction
) -> Iterator[av.VideoFrame]:
    for index, image in enumerate(images):
        image.pts, image.time_base = (pts[index] if pts else index), time_base
        yield image


def _block(sound: Sound) -> av.AudioFrame:
    layout = sound.layout or ("mono" if len(sound.samples) == 1 else "stereo")
    block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.samples), "fltp", layout)
    block.sample_rate, block.time_base = sound.rate, Fraction(1, sound.rate)
    block.pts = round(sound.seconds * sound.rate)
    return block


def beep(
    seconds: float, length: float = 3, *, rate: int = 48_000, channels: int = 1
) -> NDArray[np.float32]:
    """Silence but for a tone of 1 kHz from `seconds` on, 0.2 s long."""
    time = np.arange(round(length * rate)) / rate
    tone = 0.8 * np.sin(2 * np.pi * 1000 * time) * ((time >= seconds) & (time < seconds + 0.2))
    return np.repeat(tone[None].astype(np.float32), channels, axis=0)


@dataclass
class Film:
    """What a file holds, by PyAV alone."""

    images: list[av.VideoFrame] = field(default_factory=list)
    times: list[Fraction] = field(default_factory=list)
    keyframes: list[Fraction] = field(default_factory=list)
    samples: Samples = field(default_factory=lambda: np.zeros((1, 0), np.float32))
    sound_start: float = 0
    rate: int = 0
    tracks: dict[str, Any] = field(default_factory=dict)
    """codec, layout... by kind of track"""
    packets: dict[str, list[tuple[int | None, int | None, bytes]]] = field(default_factory=dict)
    """(pts, dts, bytes) by kind of track"""

    def beep_at(self) -> float:
        """Seconds at which the tone begins."""
        return self.sound_start + int(np.argmax(np.abs(self.samples[0]) > 0.2)) / self.rate


def read_film(path: Path | str) -> Film:
    film = Film()
    blocks: list[Any] = []
    with av.open(str(path)) as file:
        for stream in file.streams:
            context: Any = stream.codec_context
            film.tracks[stream.type] = context
            film.packets[stream.type] = []
        for packet in file.demux():
            if packet.size:
                kept = (packet.pts, packet.dts, bytes(packet))
                film.packets[packet.stream.type].append(kept)
                if packet.stream.type == "video" and packet.is_keyframe and packet.pts is not None:
                    film.keyframes.append(packet.pts * packet.time_base)
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    assert frame.pts is not None
                    assert frame.time_base is not None
                    film.images.append(frame)
                    film.times.append(frame.pts * frame.time_base)
                else:
                    blocks.append(frame)
    if blocks:
        film.rate, film.sound_start = blocks[0].sample_rate, blocks[0].time
        resampler = av.AudioResampler("fltp", blocks[0].layout.name, film.rate)
        arrays = [out.to_ndarray() for block in blocks for out in resampler.resample(block)]
        film.samples = np.concatenate(arrays, axis=1).astype(np.float32)
    return film


def bar_colors(image: av.VideoFrame) -> NDArray[np.int16]:
    """The colour in the middle of each of the eight bars."""
    rgb = pixels.to_rgb(image)
    step = rgb.shape[1] / len(BARS)
    columns = [round((index + 0.5) * step) for index in range(len(BARS))]
    return rgb[rgb.shape[0] // 2, columns].astype(np.int16)


def assert_bars(image: av.VideoFrame) -> None:
    """The colours of testing.bars(), within 3 levels: what 8-bit YUV and a low crf lose."""
    off = np.abs(bar_colors(image) - np.array(BARS, np.int16)).max()
    assert off <= 3, f"{off} levels off: {bar_colors(image).tolist()}"
