"""What the codecs alone cost: decoder and encoder in one thread, with nothing around them.

    python -m bench.floor CLIP.ts

Runs in a process of its own, so that its CPU is all of what is counted, and prints JSON.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from bench import clips, process
from bench.clips import GOP_SECONDS, RATE, Clip
from bench.results import quantile
from composer.media import coders
from composer.media import live_encoder as cast
from composer.media.mpegts.demuxer import CLOCK, Unit
from composer.media.packets import packet_of

TIME_BASE: Final = Fraction(1, CLOCK)
KEY, NONE = av.video.frame.PictureType.I, av.video.frame.PictureType.NONE


@dataclass(frozen=True)
class Floor:
    """What a run took. pictures: that came out of the encoder. cpu: seconds of CPU of them all.
    steady: of one picture, from the second second on. seconds: of each picture, decoding and
    encoding, by the wall. memory: its peak in bytes.
    """

    pictures: int
    cpu: float
    steady: float
    seconds: tuple[float, ...]
    memory: int

    def numbers(self) -> dict[str, float]:
        """By name; CPU and delay are those of one picture."""
        return {
            "cpu ms": self.cpu / self.pictures * 1e3,
            "steady cpu ms": self.steady * 1e3,
            "p50 ms": quantile(self.seconds, 0.5) * 1e3,
            "p95 ms": quantile(self.seconds, 0.95) * 1e3,
            "memory MB": self.memory / 1e6,
        }


def measured(clip: Clip, folder: Path) -> Floor:
    """The clip in real time, in a process of its own. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "bench.floor", str(clip.write(folder))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    body = json.loads(done.stdout)
    return Floor(**{**body, "seconds": tuple(body["seconds"])})


class Codecs:
    """Decoder and encoder as a session opens them where one thread is its share: its options, and
    no keyframes but those that are asked for.
    """

    def __init__(self) -> None:
        self._decoder: Any = av.CodecContext.create("h264", "r")
        self._decoder.thread_type, self._decoder.thread_count = "SLICE", 1
        self._encoder: Any = None
        self._count = 0

    def picture(self, unit: Unit) -> list[Any]:
        """One picture anew: packets, whose times are in the time base of MPEG-TS."""
        packet: Any = packet_of(unit.data)
        packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, TIME_BASE
        packets: list[Any] = []
        for image in self._decoder.decode(packet):
            if self._encoder is None:
                self._encoder = _encoder(image)
            due = self._count and self._count % (GOP_SECONDS * RATE) == 0
            image.pict_type = KEY if due else NONE
            self._count += 1
            packets += self._encoder.encode(image)
        return packets


def _encoder(like: av.VideoFrame) -> Any:
    settings = cast.live_settings(coders.PictureSettings(codec="h264"), like.width, like.height)
    context: Any = av.CodecContext.create(settings.coder.name, "w")
    context.width, context.height, context.pix_fmt = like.width, like.height, like.format.name
    context.time_base, context.framerate = TIME_BASE, Fraction(RATE)
    context.thread_type, context.thread_count = "SLICE", 1
    context.sample_aspect_ratio, context.gop_size = Fraction(1), 1 << 20
    context.options = coders.coder_options(settings, live=True)
    return context


def paced(pictures: Sequence[Unit]) -> Floor:
    """Decode and encode in this thread, each picture when it is due."""
    codecs, count, seconds = Codecs(), 0, []
    settled = before = time.process_time()
    began = time.perf_counter()
    for number, unit in enumerate(pictures):
        if number == RATE:
            settled = time.process_time()
        # The pace of a source is a matter of time, not of order.
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))  # noqa: TID251
        due = time.perf_counter()
        count += len(codecs.picture(unit))
        seconds.append(time.perf_counter() - due)
    after, late = time.process_time(), len(pictures) - RATE
    steady = (after - settled) / late if late > 0 else math.nan
    return Floor(count, after - before, steady, tuple(seconds), process.peak_of(os.getpid()))


def main() -> None:
    pictures = clips.units(Path(sys.argv[1]).read_bytes(), "video")
    print(json.dumps(asdict(paced(pictures))))


if __name__ == "__main__":
    main()
