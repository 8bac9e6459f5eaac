"""What is measured: each work is one run of everybody who can do it, right behind each other."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import chain, clips, codecs, contenders, floor, model, sessions, stream
from bench.clips import Clip
from bench.contenders import BYOC, Contender
from bench.floor import Floor
from bench.promises import BESIDE, PACED
from bench.results import Numbers, quantile
from bench.stream import Drive, Seen
from composer.media.mpegts.demuxer import Demuxer

PASS: Final = "version: 1\nnodes: {source: {type: decode}, out: {type: encode}}\n"
TINT: Final = (
    "version: 1\nnodes: {source: {type: decode}, tint: {type: color, green: 1.3},"
    " out: {type: encode}}\n"
)
CAPTION: Final = (
    "version: 1\nnodes: {source: {type: decode}, frame: {type: resize, width: 960, height: 540},"
    " label: {type: overlay_text, text: Big Buck Bunny, size: 36, x: 40, y: bottom-40},"
    " out: {type: encode}}\n"
)
TINTED: Final = "colorchannelmixer=gg=1.3"
CAPTIONED: Final = (
    "scale=960:540,drawtext=text='Big Buck Bunny':fontsize=36:fontcolor=white:x=40:y=h-text_h-40"
)
PIECE: Final = 4096
TORCH: Final = "pipelines/upscale.yaml"


@dataclass(frozen=True)
class Setting:
    """seconds: of each clip. folder: for files. peers: whether pytrickle is measured, too."""

    seconds: float
    folder: Path
    peers: bool = True

    def clip(self, size: str) -> Clip:
        return clips.make(size, self.seconds)

    def pipeline(self, text: str) -> Path:
        path = self.folder / "pipeline.yaml"
        path.write_text(text)
        return path


Work = Callable[[Setting], Numbers]


def through(size: str, text: str, filters: str, peer: str, setting: Setting) -> Numbers:
    """One stream in real time: us, the peer, FFmpeg at the same pace and flat out; where nothing
    but codecs is asked for, the codecs alone.
    """
    clip = setting.clip(size)
    found = _seen("byoc", contenders.byoc(setting.pipeline(text)), clip)
    if setting.peers and peer:
        found |= _seen("pytrickle", contenders.pytrickle(peer, clip), clip)
    pictures = len(clip.pictures)
    paced = codecs.ffmpeg(clip, filters, setting.folder, paced=True).cpu / pictures * 1e3
    flat_out = codecs.ffmpeg(clip, filters, setting.folder).cpu / pictures * 1e3
    found |= {"ffmpeg cpu ms, paced": paced, "ffmpeg cpu ms": flat_out}
    if not filters and codecs.has_gstreamer():
        found["gstreamer cpu ms"] = codecs.gstreamer(clip, setting.folder).cpu / pictures * 1e3
    for name in ("byoc", "pytrickle"):
        if f"{name} cpu ms" in found:
            found[f"{name} CPU / FFmpeg, paced"] = found[f"{name} cpu ms"] / paced
            found[f"{name} CPU / FFmpeg"] = found[f"{name} cpu ms"] / flat_out
    return found if filters else found | beside(floor.measured(clip, setting.folder), found)


def near(size: str, setting: Setting) -> Numbers:
    """One stream in real time: us, FFmpeg at the same pace, and the codecs alone."""
    clip = setting.clip(size)
    found = _seen("byoc", contenders.byoc(setting.pipeline(PASS)), clip)
    paced = codecs.ffmpeg(clip, "", setting.folder, paced=True).cpu / len(clip.pictures) * 1e3
    found |= {"ffmpeg cpu ms, paced": paced, f"byoc {PACED}": found["byoc cpu ms"] / paced}
    return found | beside(floor.measured(clip, setting.folder), found)


def beside(codecs_alone: Floor, seen: Numbers) -> dict[str, float]:
    """What the codecs alone took, and the contenders beside it. seen: their numbers.

    CPU is compared from the second second on: what a session takes to begin is no picture's. A
    contender that lost pictures has no such number, for it did not encode them.
    """
    found = {f"floor {name}": value for name, value in codecs_alone.numbers().items()}
    for name in ("byoc", "pytrickle"):
        if f"{name} cpu ms" not in seen:
            continue
        if not seen[f"{name} lost"]:
            ratio = seen[f"{name} steady cpu ms"] / found["floor steady cpu ms"]
            found[f"{name} {BESIDE}"] = ratio
        for share in ("p50 ms", "p95 ms"):
            above = seen[f"{name} {share}"] - found[f"floor {share}"]
            found[f"{name} {share} over the floor"] = above
    return found


def fastest(size: str, setting: Setting) -> Numbers:
    """Frames per second at the most: a few pictures on their way, the next when one is back."""
    clip = setting.clip(size)
    found = {"byoc fps": _run(contenders.byoc(setting.pipeline(PASS)), clip, flat_out=True).fps}
    if setting.peers:
        peer = contenders.pytrickle("pass", clip)
        found["pytrickle fps"] = _run(peer, clip, flat_out=True).fps
    pictures = len(clip.pictures)
    found["ffmpeg fps"] = pictures / codecs.ffmpeg(clip, "", setting.folder, threads=2).wall
    if codecs.has_gstreamer():
        found["gstreamer fps"] = pictures / codecs.gstreamer(clip, setting.folder).wall
    found["byoc fps / FFmpeg"] = found["byoc fps"] / found["ffmpeg fps"]
    if setting.peers:
        found["pytrickle fps / FFmpeg"] = found["pytrickle fps"] / found["ffmpeg fps"]
    return found


def crowd(count: int, size: str, setting: Setting) -> Numbers:
    """So many streams at once; what drives them is on the same cores."""
    pipeline, clip = setting.pipeline(PASS), setting.clip(size)
    found = sessions.measured(pipeline, count, clip, setting.folder)
    return {f"byoc {name}": value for name, value in found.items()}


def isolated(size: str, setting: Setting) -> Numbers:
    """What a process of its own costs a stream: the same pictures with one and without."""
    clip, found = setting.clip(size), dict[str, float]()
    pipeline = setting.pipeline(PASS)
    for isolation in ("none", "process"):
        contender = contenders.byoc(pipeline, isolation=isolation)
        found |= _seen(f"byoc {isolation}", contender, clip)
    return found | {f"byoc {name}": value for name, value in apart(found).items()}


def apart(found: Numbers) -> dict[str, float]:
    """What is more with a process than without, as far as no run lost pictures."""
    if found["byoc none lost"] or found["byoc process lost"]:
        return {}
    shares = ("steady cpu ms", "p50 ms", "p95 ms", "first ms", "family memory MB")
    return {
        f"{share} on top": found[f"byoc process {share}"] - found[f"byoc none {share}"]
        for share in shares
    }


def sounding(size: str, setting: Setting) -> Numbers:
    """What sound costs that no node takes: the same pictures without, with Opus and with AAC."""
    worker = contenders.byoc(setting.pipeline(PASS))
    found = _seen("byoc", worker, setting.clip(size))
    for coding in clips.SOUNDS:
        seen = asyncio.run(stream.run(worker, clips.make(size, setting.seconds, sound=coding)))
        found |= {f"byoc {name}": value for name, value in on_top(coding, found, seen).items()}
    return found


def on_top(coding: str, silent: Numbers, seen: Seen) -> Numbers:
    """What a run with sound showed beside the same without, which `silent` has the numbers of. The
    CPU of runs that lost pictures is not compared.
    """
    heard = numbers(seen)
    found = {f"{coding} {name}": heard[name] for name in ("steady cpu ms", "lost")}
    found[f"{coding} packets"] = float(seen.sound)
    found[f"{coding} packets as sent"] = float(seen.kept)
    if not silent["byoc lost"] and not heard["lost"]:
        more = heard["steady cpu ms"] - silent["byoc steady cpu ms"]
        found[f"{coding} ms on top"] = more
    return found


def nodes(setting: Setting) -> Numbers:
    """What a node costs that does nothing, in a stage with others and in one of its own."""
    fused, apart = chain.cost(apart=False), chain.cost(apart=True)
    return {"byoc fused us": fused * 1e6, "byoc across us": apart * 1e6}


def onnx(setting: Setting) -> Numbers:
    """An ONNX node beside a bare loop over onnxruntime, with one thread."""
    path = setting.folder / "net.onnx"
    model.network(path, (16, 32, 64, 128, 128, 128, 128))
    before = model.bare(path, 1, 150)
    node = model.piped(setting.folder, 1, 150)
    loop = (before + model.bare(path, 1, 150)) / 2
    return {"byoc fps": node, "onnxruntime fps": loop, "byoc fps / onnxruntime": node / loop}


def demux(setting: Setting) -> Numbers:
    """What cutting access units takes of one core, at 8 Mbit/s in pieces as a socket gives them."""
    clip = clips.make("720p", setting.seconds, 8_000_000)
    demuxer, began = Demuxer(), time.thread_time()
    for at in range(0, len(clip.data), PIECE):
        demuxer.feed(clip.data[at : at + PIECE])
    return {"byoc % of a core": (time.thread_time() - began) / setting.seconds * 100}


def start(setting: Setting) -> Numbers:
    """`byoc check` of a pipeline with torch, and of Python alone."""
    return {
        "byoc check s": _wall(BYOC, "check", TORCH),
        "python s": _wall(str(Path(BYOC).with_name("python")), "-c", "pass"),
    }


def _wall(*command: str) -> float:
    walls = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - began)
    return statistics.median(walls)


def _seen(name: str, contender: Contender, clip: Clip) -> dict[str, float]:
    seen = asyncio.run(stream.run(contender, clip))
    return {f"{name} {key}": value for key, value in numbers(seen).items()}


def _run(contender: Contender, clip: Clip, *, flat_out: bool) -> Seen:
    return asyncio.run(stream.run(contender, clip, Drive(flat_out=flat_out)))


def numbers(seen: Seen) -> dict[str, float]:
    """What a run showed, by name."""
    return {
        "cpu ms": seen.cpu / seen.sent * 1e3,
        "steady cpu ms": seen.steady * 1e3,
        "p50 ms": quantile(seen.latency, 0.5) * 1e3,
        "p95 ms": quantile(seen.latency, 0.95) * 1e3,
        "first ms": seen.first * 1e3,
        "ready s": seen.ready,
        "memory MB": seen.memory / 1e6,
        "family memory MB": seen.family_memory / 1e6,
        "lost": float(seen.sent - seen.back),
        "out of order": float(not seen.ordered),
        "patched": float(seen.patched),
    }


WORKS: Final[Mapping[str, Work]] = {
    "passthrough, 720p": partial(through, "720p", PASS, "", "pass"),
    "passthrough, 360p": partial(through, "360p", PASS, "", "pass"),
    "green tint, 720p": partial(through, "720p", TINT, TINTED, "tint"),
    "resize and caption, 720p": partial(through, "720p", CAPTION, CAPTIONED, ""),
    "at the most, 720p": partial(fastest, "720p"),
    "passthrough with sound, 360p": partial(sounding, "360p"),
    "isolated passthrough, 360p": partial(isolated, "360p"),
    "isolated passthrough, 720p": partial(isolated, "720p"),
    "8 sessions, 360p": partial(crowd, 8, "360p"),
    "10 sessions, 360p": partial(crowd, 10, "360p"),
    "a node that does nothing": nodes,
    "an ONNX node": onnx,
    "cutting access units": demux,
    "start": start,
}


def measure(work: Work, seconds: float, *, peers: bool) -> Numbers:
    """One run of one work, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        return work(Setting(seconds, Path(name), peers))
