"""Decoded pictures as they are shown: each once, at its time, upright."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

import av

from composer import lazy
from composer.media.awaited import Awaited
from composer.media.reading import Damage
from composer.media.selection import decoder_of_alpha, overruling_aspect, step_of
from composer.media.tail import Tail
from composer.media.tiles import Tiles
from composer.media.timeline import BestEffort, Pace, TrackClock
from composer.node.formats import has_alpha
from composer.pictures import pixels
from composer.pictures.orientation import Orientation, turned

with lazy.deferred():  # only pictures that have alpha need NumPy
    from composer.pictures import alpha

log = logging.getLogger(__name__)


class Presentation:
    """The pictures of one track on their way out.

    image: the track, None for no pictures. name: what messages call the file. layout: the pixel
    layout that is wanted. max_fps: 0 for all. counted: whether the container has no times. lasts:
    whether the orientation of a picture holds for those behind it. tiles: of a joined picture.
    """

    def __init__(
        self,
        image: Any,
        *,
        name: str,
        layout: str,
        max_fps: float,
        damage: Damage,
        counted: bool,
        lasts: bool,
        tiles: Tiles | None,
    ) -> None:
        self.awaited: Final = Awaited(step_of(image) if image is not None else 1)
        self.tail: Final = Tail()
        self._name, self._layout = name, layout
        self._damage, self._counted, self._tiles = damage, counted, tiles
        self._guessed = BestEffort()
        self._pace = Pace(max_fps) if max_fps else None
        self._aspect = overruling_aspect(image)
        self._orientation = Orientation(lasts=lasts)
        self._has_alpha = image is not None and bool(decoder_of_alpha(image))
        self._seen, self._told_of_alpha = "", False

    def shown(self, images: Iterable[av.VideoFrame], track: TrackClock) -> Iterator[av.VideoFrame]:
        """Those of the decoded pictures that are shown."""
        for image in images:
            self.awaited.came(image)
            self.tail.came(image)
            if image.is_corrupt:
                self._damage.add()
            if image.format.name != self._seen:
                self._seen = image.format.name
                self._tell_of_alpha(image)
            pts = self._time(image, track)
            if pts is None:
                continue
            if self._pace is not None:
                if not self._pace.takes(pts * track.seconds):
                    continue
                image.duration = 0  # it is shown for longer than it says
            image.pts = pts
            yield self._upright(image)

    def _time(self, image: av.VideoFrame, track: TrackClock) -> int | None:
        """When it is shown; None where another has its time."""
        guessed = None if self._counted else self._guessed.time(image.pts, image.dts)
        written = None if image.pts is None else guessed
        return track.place(written, guessed, image.duration)

    def _upright(self, image: av.VideoFrame) -> av.VideoFrame:
        if self._aspect is not None:
            image = pixels.shaped(image, self._aspect)
        if self._tiles is None:
            return self._orientation.upright(image, self._layout)
        return turned(image, self._layout, self._tiles.display_matrix)

    def _tell_of_alpha(self, image: av.VideoFrame) -> None:
        """Say once that the plan has no room for the alpha of the pictures."""
        if self._told_of_alpha or has_alpha(self._layout):
            return
        if self._has_alpha or alpha.is_used(image):
            self._told_of_alpha = True
            log.warning("%s: its pictures have alpha, which is left out", self._name)
