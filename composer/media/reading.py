"""The packets of one file, as far as it can be read, and what of it is damaged."""

import logging
from collections.abc import Iterator
from typing import Any, Final

import av

from composer.errors import MediaError
from composer.media import rows
from composer.media.containers import silent
from composer.media.packets import packet_of
from composer.media.selection import Selection

log = logging.getLogger(__name__)

READ_ATTEMPTS: Final = 8
"""Errors in a row after which the rest of a container is given up."""


class Damage:
    """Packets that could not be read or decoded, and pictures decoded in part. name: the file."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self._name = name

    def add(self, *, told: bool = True) -> None:
        """One more. told: whether to say so, where it is the first."""
        self.count += 1
        if told and self.count == 1:
            log.warning("%s is damaged: what cannot be decoded is left out", self._name)


class Packets:
    """Every packet of the used tracks, then an empty one each, which drains the decoder.

    row: the files that are read in place of the container's own packets.
    """

    def __init__(
        self, selection: Selection, name: str, row: rows.Row | None, damage: Damage
    ) -> None:
        self.pictures = 0
        """How many pictures the container had."""

        self.tracks: Final[set[int]] = set()
        """The tracks of which packets came, by their index."""

        self._selection, self._name = selection, name
        self._row, self._damage = row, damage

    def __iter__(self) -> Iterator[Any]:
        yield from self._demuxed() if self._row is None else self._numbered(self._row)
        for stream in self._selection.used:
            last: Any = av.Packet()
            last.stream, last.time_base = stream, stream.time_base
            yield last

    def _demuxed(self) -> Iterator[Any]:
        image, failed = self._selection.image, 0
        while failed < READ_ATTEMPTS:
            try:
                for packet in self._selection.container.demux(self._selection.used):
                    failed = 0
                    if packet.stream is image and (packet.size or packet.dts is not None):
                        self.pictures += 1
                    if packet.size:  # else the decoder would take it for the end
                        self.tracks.add(packet.stream.index)
                        yield packet
            except IndexError:  # PyAV: a packet of a track that was found only after opening
                continue
            except av.ExitError:
                raise silent(self._name) from None
            except av.FFmpegError as exc:
                failed += 1
                self._damage.add(told=False)
                log.debug("%s: %s", self._name, exc)
            else:
                return
        log.warning("%s is damaged: the rest of it is left out", self._name)

    def _numbered(self, row: rows.Row) -> Iterator[Any]:
        """The files of a row, each at the time that its number stands for."""
        image: Any = self._selection.image
        for number in row.numbers:
            try:
                packet: Any = packet_of(row.path(number).read_bytes())
            except OSError as exc:
                raise MediaError(f"{row.path(number)} may not be read") from exc
            packet.stream, packet.time_base = image, image.time_base
            packet.pts = packet.dts = number - row.first
            packet.duration, packet.is_keyframe = 1, True
            if packet.size:
                yield packet
            else:
                self._damage.add()
