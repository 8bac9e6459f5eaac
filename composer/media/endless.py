"""Pictures and sound that do not end: a clip over and over, a camera."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, Protocol, TypeAlias

import av

from composer.errors import MediaError
from composer.media.containers import open_input
from composer.media.reader import Reader
from composer.node.formats import Carrier
from composer.pictures import pixels

CLOCK: Final = 90_000
TIME_BASE: Final = Fraction(1, CLOCK)

LAYOUT: Final = "yuv420p"

Shown: TypeAlias = "av.VideoFrame | av.AudioFrame"


class Endless(Protocol):
    """Where pictures come from. paced: they come at the pace of the clock by themselves."""

    paced: bool

    @property
    def has_sound(self) -> bool: ...

    def read(self) -> Iterator[Shown]:
        """Pictures in yuv420p and blocks of sound, their times in 1/90000 s, growing for ever."""
        ...

    def close(self) -> None: ...


class Clip:
    """A file over and over: where it begins again, times go on. Raises MediaError."""

    paced = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader = self._opened()
        self.has_sound: Final = _has_sound(path)

    def read(self) -> Iterator[Shown]:
        shift = 0
        while True:
            end = shift
            for item in self._reader.read():
                if isinstance(item, av.Packet):
                    continue  # sound is asked for as samples
                length = _move(item, shift)
                assert item.pts is not None  # _move set it
                end = max(end, item.pts + length)
                yield item
            self._reader.close()
            self._reader, shift = self._opened(), end

    def close(self) -> None:
        self._reader.close()

    def _opened(self) -> Reader:
        return Reader(self._path, layout=LAYOUT, sound=Carrier.FRAME)


class Camera:
    """A device of libavdevice; its pictures come when they come. Raises MediaError.

    form: libavdevice's name of the kind of device.
    """

    paced = True
    has_sound = False

    def __init__(self, device: str, form: str = "v4l2") -> None:
        try:
            self._container: Any = open_input(device, format=form)
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise MediaError(f"{device} cannot be opened as a camera: {exc}") from exc

    def read(self) -> Iterator[Shown]:
        first: Fraction | None = None
        try:
            for image in self._container.decode(video=0):
                at = Fraction(image.pts or 0) * image.time_base
                first = at if first is None else first
                picture = pixels.convert(image, LAYOUT)
                picture.pts, picture.time_base = round((at - first) * CLOCK), TIME_BASE
                picture.pict_type = 0
                yield picture
        except av.FFmpegError as exc:
            raise MediaError(f"the camera gives no more pictures: {exc}") from exc

    def close(self) -> None:
        self._container.close()


def _has_sound(path: str) -> bool:
    with open_input(path) as opened:
        return bool(opened.streams.audio)


def _move(item: Shown, shift: int) -> int:
    """Put an item on the common clock, `shift` later; gives how long it lasts."""
    assert item.pts is not None  # the reader sees to it
    assert item.time_base is not None
    item.pts = round(item.pts * item.time_base * CLOCK) + shift
    if isinstance(item, av.AudioFrame):
        length = round(item.samples * CLOCK / item.sample_rate)
    else:
        length = round(item.duration * item.time_base * CLOCK) or CLOCK // 25
        item.duration = length
    item.time_base = TIME_BASE
    return length
