"""Chain: filters of libavfilter, one after another, from Python."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import av

Filter: TypeAlias = tuple[str, Mapping[str, str]]
"""Name of a filter and its options. They are handed over one by one, so nothing is escaped."""

MIRRORS: Final[Mapping[tuple[bool, bool], tuple[Filter, ...]]] = {
    (False, False): (),
    (True, False): (("hflip", {}),),
    (False, True): (("vflip", {}), ("copy", {})),  # vflip alone gives a view that counts backwards
    (True, True): (("hflip", {}), ("vflip", {})),
}
"""(left to right?, top to bottom?) -> a new picture mirrored like that."""

_KEPT: Final = 16
"""Graphs that wait for the next picture of their kind; an idle one holds no picture."""


class Chain:
    """Runs filters that give one picture for each one they take.

    Graphs are kept ready by what they were built for; building one takes about 0.05 ms. May be
    called from several threads at once: each call has a graph to itself.
    """

    def __init__(self) -> None:
        self._idle: dict[Any, _FilterGraph] = {}

    def run(self, image: av.VideoFrame, *filters: Filter) -> av.VideoFrame:
        """A picture that says of itself what `image` does, which is not changed: time, tags, shape
        of pixels, fields, duration, side data.

        It is a new one, unless all filters only look elsewhere (crop, vflip): then it is a view of
        the same pixels and nobody's own.
        Raises av.FFmpegError when a filter refuses its options.
        """
        key = (_kind(image), *((name, *options.items()) for name, options in filters))
        graph = self._idle.pop(key, None) or _FilterGraph(image, filters)
        filtered = graph.run(image)
        if len(self._idle) >= _KEPT:
            self._idle.clear()
        self._idle[key] = graph
        filtered.pts = image.pts
        if image.time_base is not None:
            filtered.time_base = image.time_base
        return filtered


def _kind(image: av.VideoFrame) -> tuple[str, int, int, int, int]:
    return (
        image.format.name,
        image.width,
        image.height,
        int(image.colorspace),
        int(image.color_range),
    )


class _FilterGraph:
    def __init__(self, image: av.VideoFrame, filters: tuple[Filter, ...]) -> None:
        layout, width, height, matrix, color_range = _kind(image)
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # a second thread costs more CPU than it saves here
        self._source = last = self._graph.add(
            "buffer",
            video_size=f"{width}x{height}",
            pix_fmt=layout,
            time_base="1/90000",
            colorspace=str(matrix),
            range=str(color_range),
        )
        for name, options in filters:
            step = self._graph.add(name, **options)
            last.link_to(step)
            last = step
        self._sink = self._graph.add("buffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def run(self, image: av.VideoFrame) -> av.VideoFrame:
        self._source.push(image)
        filtered = self._sink.pull()
        assert isinstance(filtered, av.VideoFrame)
        return filtered
