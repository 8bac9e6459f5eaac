"""What a peer may say that it should not: one coroutine for each lie, to be given to a `Peer`.

SCRIPTS has those that need nothing, by name; functions here make others of what they are given.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from composer.testing.exchange import Exchange, Script, absent, taken

PACKET: Final = b"\x47\x1f\xff\x10" + bytes(184)
"""A packet of a transport stream that holds nothing: stuffing."""

PIECE: Final = 64 * 1024
FLOOD: Final = 2000
"""So many small things are sent at once, so that the sender is faster than whoever reads."""


def chunk(data: bytes) -> bytes:
    """Some bytes as a chunk of a body; without any, its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def begin(exchange: Exchange) -> None:
    """The head of a segment in chunks."""
    await exchange.head(Lp_Trickle_Seq=exchange.seq, Transfer_Encoding="chunked")


# segments, and what stands in their stead


async def empty_segments(exchange: Exchange) -> None:
    """Segments without a byte, one after another, as fast as they are asked for."""
    await exchange.answer(Lp_Trickle_Seq=exchange.seq)


async def segments_that_jump(exchange: Exchange) -> None:
    """Each segment a thousand further than the one before."""
    await exchange.answer(Lp_Trickle_Seq=1000 * exchange.number)


async def the_same_segment(exchange: Exchange) -> None:
    """Always number 5, whatever was asked for."""
    await exchange.answer(body=PACKET, Lp_Trickle_Seq=5)


async def numbers_beyond_measure(exchange: Exchange) -> None:
    """Numbers of seventeen digits, backwards."""
    await exchange.answer(Lp_Trickle_Seq=10**17 - exchange.number)


async def numbers_that_are_none(exchange: Exchange) -> None:
    """A word where the number of the segment belongs."""
    await exchange.answer(Lp_Trickle_Seq="many")


async def always_behind(exchange: Exchange) -> None:
    """Whatever is asked for is too old, and the newest is still further on."""
    newest = exchange.seq + 100
    await exchange.answer(470, Lp_Trickle_Latest=newest, Lp_Trickle_Seq=exchange.seq)


async def behind_without_a_number(exchange: Exchange) -> None:
    """Too old, and nothing says where the newest is."""
    await exchange.answer(470)


async def behind_a_number_that_is_none(exchange: Exchange) -> None:
    """Too old, and where the newest is cannot be read."""
    await exchange.answer(470, Lp_Trickle_Latest="-9e9")


async def closed_with_text(exchange: Exchange) -> None:
    """The channel has ended, said in a header only; the body is text."""
    await exchange.answer(body=b"no such entry", Lp_Trickle_Closed="terminated")


async def no_content(exchange: Exchange) -> None:
    """204, which has no body."""
    await exchange.head(204, Lp_Trickle_Seq=exchange.seq)


async def packed(exchange: Exchange) -> None:
    """A segment that says it is gzip, though nobody asked for that."""
    await exchange.answer(
        body=b"\x1f\x8b\x08" + bytes(500), Lp_Trickle_Seq=exchange.seq, Content_Encoding="gzip"
    )


def refusing(status: int) -> Script:
    """The same status to every request."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(status)

    return script


def redirecting(address: str) -> Script:
    """The way to another server."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(302, Location=address)

    return script


def serving(segments: Iterable[bytes]) -> Script:
    """These segments, then silence: an honest server, to begin with something that works."""
    wanted = list(segments)

    async def script(exchange: Exchange) -> None:
        if exchange.seq >= len(wanted):
            return await silence(exchange)
        await exchange.answer(body=wanted[exchange.seq], Lp_Trickle_Seq=exchange.seq)

    return script


# bodies


async def silence(exchange: Exchange) -> None:
    """No answer at all, and the connection stays open."""
    await asyncio.Event().wait()


async def silence_within(exchange: Exchange) -> None:
    """A part of a segment, then nothing more, and the connection stays open."""
    await begin(exchange)
    await exchange.say(chunk(PACKET * 3))
    await asyncio.Event().wait()


async def cut_within(exchange: Exchange) -> None:
    """A segment that is shorter than it says, ended as if all were well (FIN)."""
    await exchange.head(Lp_Trickle_Seq=exchange.seq, Content_Length=10 * len(PACKET))
    await exchange.say(PACKET * 3)
    exchange.finish()


async def cut_without_a_length(exchange: Exchange) -> None:
    """A segment that only the end of its connection ends, cut within a packet."""
    await exchange.head(Lp_Trickle_Seq=exchange.seq, Connection="close")
    await exchange.say((PACKET * 3)[:-33])
    exchange.finish()


async def reset_within(exchange: Exchange) -> None:
    """A part of a segment, then the connection is broken off (RST)."""
    await begin(exchange)
    await exchange.say(chunk(PACKET * 3))
    exchange.reset()


async def reset_at_once(exchange: Exchange) -> None:
    """The connection is broken off where an answer belongs."""
    exchange.reset()


async def tiny_chunks(exchange: Exchange) -> None:
    """A segment without end in chunks of one byte, as fast as they are taken."""
    await begin(exchange)
    flood = b"".join(chunk(bytes([byte])) for byte in (PACKET * FLOOD)[:FLOOD])
    while True:
        await exchange.say(flood)


async def endless_stuffing(exchange: Exchange) -> None:
    """A segment without end, of packets that hold nothing."""
    await begin(exchange)
    while True:
        await exchange.say(chunk(PACKET * (PIECE // len(PACKET))))


async def endless_noise(exchange: Exchange) -> None:
    """A segment without end, of bytes that are no stream."""
    noise = bytes(range(256)) * (PIECE // 256)
    await begin(exchange)
    while True:
        await exchange.say(chunk(noise))


def endless(data: bytes) -> Script:
    """A segment without end: the same bytes over and over."""

    async def script(exchange: Exchange) -> None:
        await begin(exchange)
        for at in itertools.cycle(range(0, len(data), PIECE)):
            await exchange.say(chunk(data[at : at + PIECE]))

    return script


def once(data: bytes) -> Script:
    """One segment, then silence."""
    return serving([data])


# heads


async def interim_answers(exchange: Exchange) -> None:
    """`100 Continue` without end, as fast as it is taken."""
    while True:
        await exchange.say(b"HTTP/1.1 100 Continue\r\n\r\n" * FLOOD)


async def endless_head(exchange: Exchange) -> None:
    """Headers without end."""
    await exchange.say(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await exchange.say(b"X-%d: y\r\n" % number)


async def long_header(exchange: Exchange) -> None:
    """One header of a megabyte."""
    await exchange.head(X_Long="a" * (1 << 20))
    exchange.finish()


async def noise(exchange: Exchange) -> None:
    """Bytes that are no HTTP."""
    await exchange.say(bytes(range(256)) * 16)
    exchange.finish()


async def two_lengths(exchange: Exchange) -> None:
    """A head that says two lengths."""
    await exchange.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456")
    exchange.finish()


async def negative_length(exchange: Exchange) -> None:
    """A length below zero."""
    await exchange.head(Content_Length=-5)
    exchange.finish()


async def other_protocol(exchange: Exchange) -> None:
    """The connection is said to be something else from now on."""
    await exchange.head(101, Upgrade="x", Connection="upgrade")
    await asyncio.Event().wait()


# to those who write


async def unread(exchange: Exchange) -> None:
    """Nothing of what is sent is read."""
    exchange.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def answered_early(exchange: Exchange) -> None:
    """All is well, said before anything was read; then the connection ends."""
    await exchange.answer()
    exchange.finish()


async def reset_while_written(exchange: Exchange) -> None:
    """The connection is broken off within what is sent."""
    await exchange.reader.readexactly(1000)
    exchange.reset()


async def ended_for_writers(exchange: Exchange) -> None:
    """The channel has ended."""
    await exchange.answer(404, Lp_Trickle_Closed="terminated")
    exchange.finish()


async def every_third_fails(exchange: Exchange) -> None:
    """Each third segment is refused, the others are taken."""
    if exchange.seq % 3 != 2:
        return await taken(exchange)
    await exchange.answer(500)
    exchange.reset()


def _named(*scripts: Script) -> Mapping[str, Script]:
    return {str(getattr(script, "__name__", "")): script for script in scripts}


READING: Final = _named(
    segments_that_jump,
    the_same_segment,
    numbers_beyond_measure,
    numbers_that_are_none,
    always_behind,
    behind_without_a_number,
    behind_a_number_that_is_none,
    closed_with_text,
    no_content,
    packed,
    silence,
    silence_within,
    cut_within,
    cut_without_a_length,
    reset_within,
    reset_at_once,
    long_header,
    noise,
    two_lengths,
    negative_length,
    other_protocol,
)
"""What those who read a channel may meet, by name."""

FLOODS: Final = _named(
    empty_segments,
    tiny_chunks,
    endless_stuffing,
    endless_noise,
    interim_answers,
    endless_head,
)
"""What they may meet without end, as fast as they take it: best from a process of its own."""

WRITING: Final = _named(
    unread,
    answered_early,
    reset_while_written,
    ended_for_writers,
    every_third_fails,
    interim_answers,
    silence,
    noise,
)
"""What those who write to one may meet, by name."""

SCRIPTS: Final[Mapping[str, Script]] = {**READING, **FLOODS, **WRITING, **_named(taken, absent)}
"""All of them."""

OF_DATA: Final[Mapping[str, Callable[[bytes], Script]]] = {"endless": endless, "once": once}
"""What makes a script of bytes, by name."""
