"""What pictures cost on a device, block by block and together: `python -m bench.gpu`.

The chain is that of a worker with one model: up, fed to a small network, its picture mixed over the
original, down. It runs on one lane, on three lanes that overlap, and as the plain loop that one
would write first: swscale on the host, copies that wait, one picture after the other.
"""

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import av
import numpy as np

from bench import results
from bench.results import Spread
from composer import lazy
from composer.device import cuda, lanes, tensors
from composer.device.lanes import Lane, Pinned
from composer.models import tensorfeed
from composer.models.answer import Answer, ReadContext
from composer.models.feed import Feed, Feeding, parsed, settle
from composer.node.frames import UNTAGGED
from composer.pictures import pixels

with lazy.deferred():
    import torch

BATCHES: Final = (1, 2, 4, 8)
DIFFERENT: Final = 8
"""Pictures that the bench goes round in, so that no cache holds the only one."""

AHEAD: Final = 2
"""Pictures that may be on the device at once where lanes overlap: as the inboxes of a worker."""

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. seconds: per picture, one number a run.

    waits: host waits per picture. stalls: calls in which torch itself waited, None where torch
    cannot say.
    """

    name: str
    seconds: tuple[float, ...]
    waits: float
    stalls: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        return 1 / self.median


class Work:
    """What is measured, ready to run. Each method does its block for picture `number`."""

    def __init__(self, device: str, size: tuple[int, int], side: int) -> None:
        self.device, self.size, self.side = device, size, side
        self.images = [_image(*size, number) for number in range(DIFFERENT)]
        self.pool = Pinned(device)
        self.how = _feeding(side)
        self.feeder = tensorfeed.TensorFeeder(self.how)
        self.network = _network(device)
        self.there = self.up(0)
        self.small = tensors.resized(self.there, side, side)
        self.luma, self.chroma = _nv12(self.images[0], device)
        self.answer = Answer(post="image")
        lanes.mark(device).wait()  # no lane asks whether these are there

    def up(self, number: int) -> Any:
        return tensors.upload(self.images[number % DIFFERENT], self.device, self.pool)

    def nv12(self, number: int) -> Any:
        return tensors.from_nv12(self.luma, self.chroma, UNTAGGED)

    def resize(self, number: int) -> Any:
        return tensors.resized(self.there, self.side, self.side)

    def normalise(self, number: int) -> Any:
        return self.feeder(self.small)

    def infer(self, batch: int) -> Callable[[int], Any]:
        given = torch.rand((batch, 3, self.side, self.side), device=self.device)
        lanes.mark(self.device).wait()

        def run(number: int) -> Any:
            with torch.inference_mode():
                return self.network(given)

        return run

    def down(self, number: int) -> Any:
        return tensors.begin_download(self.there, "yuv420p", UNTAGGED, self.pool)

    def shown(self, image: Any) -> Any:
        """A device picture with what the model made of it mixed over it."""
        given, fit = self.feeder(image)
        with torch.inference_mode():
            made = self.network(given)
        top = tensorfeed.read_image(self.answer, made, ReadContext(self.how, fit))
        return tensors.mixed(image, tensors.resized(top, *self.size), 0.5)


# measuring


def alone(
    work: Work, name: str, block: Callable[[int], Any], each: int, runs: int, *, batch: int = 1
) -> Row:
    """One block over and over on a lane; the host waits once, when all has been given.

    It may also wait in upload and download, for a buffer, where it is that far ahead.
    """
    lane = Lane(work.device)

    def go(count: int) -> None:
        with lane:
            for number in range(count):
                made = block(number)
                if isinstance(made, tensors.Download):
                    # It is not read here, so whoever comes next may have the buffer.
                    work.pool.give_back(made.buffer, made.mark)
        lane.mark().wait()

    return measured(work.device, name, go, each, runs, apart=1, batch=batch)


Chain: TypeAlias = Callable[[int], av.VideoFrame]
"""Works on so many pictures and gives back the last one."""


def one_lane(work: Work) -> Chain:
    lane = Lane(work.device)

    def go(count: int) -> av.VideoFrame:
        with lane:
            for number in range(count - 1):
                tensors.finish_download(_begun(work, work.shown(work.up(number))))
            return tensors.finish_download(_begun(work, work.shown(work.up(count - 1))))

    return go


def overlapped(work: Work) -> Chain:
    """Up, model and down on a lane each: while one picture comes down others are worked on."""
    rise, middle, fall = (Lane(work.device) for _ in range(3))

    def go(count: int) -> av.VideoFrame:
        begun: deque[tensors.Download] = deque()
        for number in range(count):
            with rise:
                image = work.up(number)
            middle.after(rise.mark(), image)
            with middle:
                made = work.shown(image)
            fall.after(middle.mark(), made)
            with fall:
                begun.append(_begun(work, made))
            if len(begun) > AHEAD:
                tensors.finish_download(begun.popleft())
        return [tensors.finish_download(each) for each in begun][-1]

    return go


def plain(work: Work) -> Chain:
    """The loop that one would write first, with nothing of this project but the network."""
    mean, std = (torch.tensor(each, device=work.device)[:, None, None] for each in (MEAN, STD))

    def once(image: av.VideoFrame) -> av.VideoFrame:
        given = torch.from_numpy(image.to_ndarray(format="rgb24")).to(work.device)
        picture = given.permute(2, 0, 1).float() / 255
        small = _scaled(picture[None], (work.side, work.side))
        made = _scaled(work.network((small - mean) / std).clamp(0, 1), picture.shape[1:])[0]
        mixed = picture * 0.5 + made * 0.5
        host = (mixed * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        return av.VideoFrame.from_ndarray(host, "rgb24").reformat(format="yuv420p")

    def go(count: int) -> av.VideoFrame:
        with torch.inference_mode():
            return [once(work.images[number % DIFFERENT]) for number in range(count)][-1]

    return go


def _scaled(pictures: Any, size: Sequence[int]) -> Any:
    return torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)


def measured(
    device: str,
    name: str,
    go: Callable[[int], object],
    each: int,
    runs: int,
    *,
    apart: int = 0,
    batch: int = 1,
) -> Row:
    """`runs` times `each` pictures, after a warm-up of as many.

    apart: waits of a run that are the bench's own. batch: pictures in one turn.
    """
    go(each)
    stalls = _stalls(go, each) / (each * batch) if lanes.is_cuda(device) else None
    seconds = []
    before = lanes.host_waits
    for _ in range(runs):
        began = time.perf_counter()
        go(each)
        seconds.append((time.perf_counter() - began) / (each * batch))
    waits = (lanes.host_waits - before - apart * runs) / (runs * each * batch)
    return Row(name, tuple(seconds), waits, stalls)


def _stalls(go: Callable[[int], object], count: int) -> int:
    """How often torch says that it waited for the device."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")  # which itself warns, once, that it is a prototype
        try:
            go(count)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(each.message) for each in caught)


def rows(work: Work, each: int, runs: int) -> list[Row]:
    made = [
        alone(work, name, block, each, runs)
        for name, block in (
            ("upload", work.up),
            ("NV12 -> RGB", work.nv12),
            ("resize", work.resize),
            ("normalise", work.normalise),
            ("network", work.infer(1)),
            ("feed, network, mix", lambda number: work.shown(work.there)),
            ("download", work.down),
        )
    ]
    for name, chain in (
        ("plain loop", plain(work)),
        ("one lane", one_lane(work)),
        ("overlapped lanes", overlapped(work)),
    ):
        made.append(measured(work.device, f"chain, {name}", chain, each, runs))
    for batch in BATCHES:
        name = f"network, batch of {batch}"
        made.append(alone(work, name, work.infer(batch), each, runs, batch=batch))
    return made


# what is shown


def table(found: Sequence[Row]) -> str:
    head = ("", "ms a picture", "least", "most", "pictures/s", "host waits", "torch waits")
    lines = [f"{head[0]:26}" + "".join(f"{each:>14}" for each in head[1:])]
    for row in found:
        cells = [
            f"{row.median * 1e3:.3f}",
            f"{min(row.seconds) * 1e3:.3f}",
            f"{max(row.seconds) * 1e3:.3f}",
            f"{row.rate:.1f}",
            f"{row.waits:.2f}",
            "-" if row.stalls is None else f"{row.stalls:.2f}",
        ]
        lines.append(f"{row.name:26}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


STAGES: Final = ("upload", "feed, network, mix", "download")


def verdict(found: Sequence[Row]) -> str:
    """What the overlapped chain reaches of its slowest stage alone, and beside the plain loop."""
    named = {row.name: row for row in found}
    slowest = max((named[name] for name in STAGES), key=lambda row: row.median)
    chain, loop = named["chain, overlapped lanes"], named["chain, plain loop"]
    return (
        f"overlapped lanes: {chain.rate / slowest.rate:.2f} of the slowest stage alone"
        f" ({slowest.name}), {chain.rate / loop.rate:.2f} times the plain loop"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="Measure a device.")
    parser.add_argument("--device", default="cuda:0", help="cuda:0, or cpu to try the bench itself")
    parser.add_argument("--size", default="1280x720", help="of the pictures")
    parser.add_argument("--side", type=int, default=640, help="of the network's square input")
    parser.add_argument("--pictures", type=int, default=200, help="in one run")
    parser.add_argument("--runs", type=int, default=7, help="of which the median is shown")
    parser.add_argument("--save", action="store_true", help="write bench/results/gpu.json")
    asked = parser.parse_args(arguments)
    if lanes.is_cuda(asked.device) and not (cuda.count() and torch.cuda.is_available()):
        say(f"nothing was measured: there is no CUDA device for {asked.device}")
        return 0
    work = Work(asked.device, parsed(asked.size), asked.side)
    found = rows(work, asked.pictures, asked.runs)
    say(f"{device_name(asked.device)}, torch {torch.__version__}, PyAV {av.__version__}")
    say(
        f"{asked.size}, network {asked.side}x{asked.side}, {asked.runs} x {asked.pictures} pictures"
    )
    say(table(found))
    say(verdict(found))
    if asked.save:
        told = {"device": device_name(asked.device), "torch": torch.__version__}
        told |= {"size": asked.size, "side": asked.side, "pictures": asked.pictures}
        say(f"saved to {results.save('gpu', numbers(found), runs=asked.runs, **told)}")
    return 0


def numbers(found: Sequence[Row]) -> dict[str, dict[str, Spread]]:
    """The table for results.save(): seconds as milliseconds per picture."""
    shown = {row.name: {"ms": results.spread(s * 1e3 for s in row.seconds)} for row in found}
    for row in found:
        shown[row.name]["host waits"] = results.spread([row.waits])
        if row.stalls is not None:
            shown[row.name]["torch waits"] = results.spread([row.stalls])
    return shown


def device_name(device: str) -> str:
    if lanes.is_cuda(device):
        return str(torch.cuda.get_device_name(device))
    return f"CPU ({platform.processor() or platform.machine()}, {torch.get_num_threads()} threads)"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


# what it is measured with


def _image(width: int, height: int, number: int) -> av.VideoFrame:
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack(
        [columns + 9 * number, rows + 5 * number, (rows // 16 + columns // 16) * 40], -1
    )
    return pixels.from_rgb((image % 256).astype(np.uint8), "yuv420p")


def _nv12(image: av.VideoFrame, device: str) -> tuple[Any, Any]:
    planes = image.reformat(format="nv12").planes
    luma, chroma = (torch.from_dlpack(plane.__dlpack__()).to(device) for plane in planes)
    return luma, chroma


def _feeding(side: int) -> Feeding:
    return settle(Feed(size=str(side), mean=MEAN, std=STD), None)


def _network(device: str) -> Any:
    """Three convolutions, about 0.6 GMAC at 640x640: a small network that gives a picture."""
    torch.manual_seed(1)
    layers = (
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 12, 3, padding=1),
        torch.nn.PixelShuffle(2),
        torch.nn.Sigmoid(),
    )
    return torch.nn.Sequential(*layers).eval().to(device)


def _begun(work: Work, image: Any) -> tensors.Download:
    return tensors.begin_download(image, "yuv420p", UNTAGGED, work.pool)


if __name__ == "__main__":
    sys.exit(main())
