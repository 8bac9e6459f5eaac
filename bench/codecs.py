"""The limit: the same work by FFmpeg and GStreamer, without any wire."""

import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from bench.clips import Clip

_X264: Final = (
    *("-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-bf", "0"),
    *("-crf", "23", "-g", "60"),
)


@dataclass(frozen=True)
class Ran:
    """cpu: seconds of CPU. wall: seconds. Both of the whole process."""

    cpu: float
    wall: float


def ffmpeg_path() -> str:
    """FFmpeg of this machine, or the one that comes from PyPI."""
    return shutil.which("ffmpeg") or str(imageio_ffmpeg.get_ffmpeg_exe())


def ffmpeg(clip: Clip, filters: str, folder: Path, *, paced: bool = False, threads: int = 1) -> Ran:
    """paced: in real time, as a worker does it: a core that sleeps in between needs more for each
    picture. threads: of the decoder and of the encoder.
    """
    return _timed(
        *(ffmpeg_path(), "-v", "error", "-y", "-threads", str(threads)),
        *(("-re",) if paced else ()),
        *("-i", str(clip.write(folder))),
        *(("-vf", filters) if filters else ()),
        *(*_X264, "-threads", str(threads), "-f", "mpegts", str(folder / "out.ts")),
    )


def has_gstreamer() -> bool:
    """Whether GStreamer can do it here: the tool, and both codecs."""
    if shutil.which("gst-inspect-1.0") is None:
        return False
    asked = ("avdec_h264", "x264enc", "tsdemux", "mpegtsmux")
    return all(
        subprocess.run(["gst-inspect-1.0", "--exists", each], check=False).returncode == 0
        for each in asked
    )


def gstreamer(clip: Clip, folder: Path) -> Ran:
    """The same chain, each element on the thread of the one before it."""
    chain = (
        f"filesrc location={clip.write(folder)} ! tsdemux ! h264parse ! avdec_h264 max-threads=1"
        " ! queue ! x264enc speed-preset=superfast tune=zerolatency bframes=0 key-int-max=60"
        f" threads=1 pass=qual quantizer=23 ! mpegtsmux ! filesink location={folder / 'out.ts'}"
    )
    return _timed("gst-launch-1.0", "-q", *chain.split())


def _timed(*command: str) -> Ran:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(cpu, wall)
