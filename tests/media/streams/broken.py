"""What becomes of a stream on its way: cut, lost, bent and out of order, always in the same way."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.media.streams.elementary import STEP
from tests.media.streams.seen import Gap
from tests.media.streams.transport import BASE, PACKET, PICTURES, packets

Broken: TypeAlias = list[bytes | Gap]


def joined(data: bytes, source: random.Random) -> Broken:
    """From somewhere on, as for one who comes late."""
    return [data[source.randrange(len(data) * 3 // 4) :]]


def cut(data: bytes, source: random.Random) -> Broken:
    """Up to somewhere."""
    return [data[: source.randrange(len(data) // 8, len(data))]]


def lost(data: bytes, source: random.Random) -> Broken:
    """Without some packets, and nobody says which."""
    held = packets(data)
    gone = set(source.sample(range(len(held)), 6))
    return [b"".join(each for at, each in enumerate(held) if at not in gone)]


def told(data: bytes, source: random.Random) -> Broken:
    """Without some stretches, each of them told."""
    found: Broken = []
    at = 0
    for _ in range(3):
        end = min(len(data), at + source.randrange(len(data) // 3))
        behind = min(len(data), end + source.randrange(PACKET, 20 * PACKET))
        found += [data[at:end], Gap(end, behind)]
        at = behind
    return [*found, data[at:]]


def bent(data: bytes, source: random.Random) -> Broken:
    """With some bits turned."""
    held = bytearray(data)
    for _ in range(12):
        held[source.randrange(len(held))] ^= 1 << source.randrange(8)
    return [bytes(held)]


def blank(data: bytes, source: random.Random) -> Broken:
    """With some stretches of zeros."""
    held = bytearray(data)
    for _ in range(3):
        at, size = source.randrange(len(held)), source.randrange(3 * PACKET)
        held[at : at + size] = bytes(len(held[at : at + size]))
    return [bytes(held)]


def shuffled(data: bytes, source: random.Random) -> Broken:
    """Packets out of order, as UDP brings them."""
    held = packets(data)
    for _ in range(8):
        at = source.randrange(len(held) - 4)
        part = held[at : at + 4]
        source.shuffle(part)
        held[at : at + 4] = part
    return [b"".join(held)]


def again(data: bytes, source: random.Random) -> Broken:
    """A stretch twice, as from a sender who begins again: what is not later is not given."""
    held = packets(data)
    at = source.randrange(len(held) // 2)
    end = at + source.randrange(len(held) // 3)
    return [b"".join((*held[:end], *held[at:]))]


def filled(data: bytes, source: random.Random) -> Broken:
    """Something else between."""
    at = source.randrange(len(data))
    return [data[:at] + source.randbytes(source.randrange(5000)) + data[at:]]


def noise(data: bytes, source: random.Random) -> Broken:
    """Packets of noise: nothing is right but where they begin, and whose they are."""
    held = packets(data)
    for at in source.sample(range(len(held)), len(held) // 3):
        held[at] = held[at][:4] + source.randbytes(PACKET - 4)
    return [b"".join(held)]


@dataclass(frozen=True, slots=True)
class Way:
    """How a stream is broken. places: in how many places at the most."""

    broken: Callable[[bytes, random.Random], Broken]
    places: int


WAYS: Final = {
    "joined": Way(joined, 0),
    "cut": Way(cut, 1),
    "lost": Way(lost, 6),
    "told": Way(told, 3),
    "bent": Way(bent, 12),
    "blank": Way(blank, 3),
    "shuffled": Way(shuffled, 8),
    "again": Way(again, 8),
    "filled": Way(filled, 1),
    "noise": Way(noise, 1000),
}


def begun(data: bytes) -> list[tuple[int, int]]:
    """Where pictures begin in the bytes of a stream, each with its number by its time."""
    found = []
    for at in range(0, len(data), PACKET):
        packet = data[at : at + PACKET]
        if (packet[1] & 0x5F, packet[2]) != (0x40 | PICTURES >> 8, PICTURES & 255):
            continue
        pes = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]
        if len(pes) > 13 and pes[7] & 0x80:
            low = pes[10] << 22 | pes[11] >> 1 << 15 | pes[12] << 7 | pes[13] >> 1
            found.append((at, round((((pes[9] >> 1 & 7) << 30 | low) - BASE) / STEP)))
    return found
