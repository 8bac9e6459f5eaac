"""What becomes of the sound on its way into a file: copied, or coded."""

from typing import Any, Protocol

import av

from composer.media.packets import packet_of
from composer.media.sound_decoder import SoundDecoder
from composer.media.sound_encoder import SoundEncoder
from composer.node.frames import Moment


class FileSound(Protocol):
    """What becomes of the sound on its way into the file.

    heard: whether anything came of it. repeated, damaged: what was left out, see Writer.lost.
    """

    heard: bool
    repeated: int

    @property
    def damaged(self) -> int: ...

    def encode(self, item: Any, at: Moment) -> list[Any]: ...

    def finish(self) -> list[Any]: ...


class CopiedSound:
    """Packets as they are. Each is copied, because writing changes it and others may hold it.

    repeats: whether packets may have one time in this kind of file.
    """

    def __init__(self, *, repeats: bool = False) -> None:
        self.repeated = 0
        """Packets left out because their time had been used."""

        self.heard, self.damaged = False, 0
        self._repeats = repeats
        self._last: int | None = None

    def encode(self, item: Any, at: Moment) -> list[Any]:
        time = item.pts if item.dts is None else item.dts
        if time is None or (self._last is not None and time < self._last + (not self._repeats)):
            self.repeated += 1
            return []
        self._last, self.heard = time, True
        new = packet_of(bytes(item))
        new.time_base, new.pts, new.dts = item.time_base, item.pts, time
        new.duration, new.is_keyframe = item.duration, item.is_keyframe
        for extra in item.iter_sidedata():
            extra.to_packet(new)
        return [new]

    def finish(self) -> list[Any]:
        return []


class CodedSound:
    """Samples, or packets that the file cannot hold, encoded anew."""

    repeated = 0  # what overlaps is cut

    def __init__(self, encoder: SoundEncoder) -> None:
        self.heard = False
        self._encoder = encoder
        self._decoder: SoundDecoder | None = None
        self._stream: Any = None

    @property
    def damaged(self) -> int:
        return self._decoder.damaged if self._decoder is not None else 0

    def encode(self, item: Any, at: Moment) -> list[Any]:
        if isinstance(item, av.AudioFrame):
            return self._blocks([item])
        if self._decoder is None:
            self._decoder, self._stream = SoundDecoder(item.stream), item.stream
        return self._blocks(self._decoder.decode(item))

    def finish(self) -> list[Any]:
        packets = []
        if self._decoder is not None:
            last: Any = av.Packet()
            last.time_base = self._stream.time_base
            packets = self._blocks(self._decoder.decode(last))
        return packets + self._encoder.finish()

    def _blocks(self, blocks: list[av.AudioFrame]) -> list[Any]:
        self.heard = self.heard or bool(blocks)
        return [packet for block in blocks for packet in self._encoder.encode(block)]
