"""How much of a file is missing at its end, by what it says of itself."""

from collections.abc import Collection
from fractions import Fraction
from typing import Final

from composer.media.selection import Selection, step_of

CUT_SECONDS: Final = 0.3
"""So much may be missing at the end of a file that says only how long it is."""


class FileEnding:
    """What a file says it holds. It is asked before anything is read: reading adds to its index."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        image, form = selection.image, selection.container.format.name
        self._promised = 0
        if image is not None and form.startswith("mov"):
            self._promised = len(image.index_entries)
        elif image is not None and form == "avi":
            self._promised = int(image.frames)

    def cut(self, demuxed: int, ends: Collection[Fraction]) -> int:
        """Pictures that the file says it holds, behind its end.

        demuxed: pictures that were read. ends: seconds at which each of its tracks ended.
        """
        image, container = self._selection.image, self._selection.container
        if image is None:
            return 0
        form, interval = container.format.name, Fraction(step_of(image)) * image.time_base
        if form.startswith("matroska"):
            missing = int(self._seconds_behind(ends) / interval)
        else:
            missing = max(0, self._promised - demuxed)
        # only an index says it to the picture
        return missing if form.startswith("mov") or missing * interval > CUT_SECONDS else 0

    def _seconds_behind(self, ends: Collection[Fraction]) -> Fraction:
        container, used = self._selection.container, self._selection.used
        others = {stream.type for stream in container.streams if stream not in used}
        if container.duration is None or others - {"attachment"}:  # one of them may be longer
            return Fraction(0)
        length = Fraction((container.start_time or 0) + container.duration, 1_000_000)
        return length - max(ends) - self._selection.start
