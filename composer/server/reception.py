"""Reception: bodies on their way in. Each has a place before its first byte is read, and a time.

What a body may cost is bounded thrice: how many come at once of its kind, how long one takes, and
how many bytes wait altogether. Where places or bytes run out, whoever is slow has to go first.
"""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from typing import Final

from aiohttp import web

from composer.errors import Overdue, ParserLost
from composer.parser import Parser
from composer.parsing import ParsedJson, TooMuch, UnreadableJson
from composer.spool import Spool, SpoolFailed

SLOW_BYTES_S: Final = 64 << 10
"""Whoever sends fewer bytes a second leaves when others wait for the place, ..."""

GRACE_S: Final = 1.0
"""... after so many seconds."""

KINDS: Final = ("start", "params", "stop", "reload", "dev", "job")

PIECE: Final = 64 << 10
"""Bytes that are unpacked at once."""

ENCODINGS: Final = ("gzip", "deflate")
"""How a body may be packed."""


class Coming:
    """One body on its way. Its owner says what came, and when that is all."""

    def __init__(self, kind: str, began: float, limit: asyncio.Timeout) -> None:
        self.kind, self.began = kind, began
        self.bytes = 0
        self.held = 0
        """Bytes of the common room that it has."""
        self.is_whole = False
        self.why_not = ""
        """Why it was sent away before its time."""

        self._limit = limit

    def rate(self, now: float) -> float:
        """Bytes a second."""
        return self.bytes / max(now - self.began, GRACE_S)

    def is_slow(self, now: float) -> bool:
        late = now - self.began >= GRACE_S and self.rate(now) < SLOW_BYTES_S
        return late and not self.is_whole and not self.why_not

    def came(self) -> None:
        """It is whole, and waits no more for its sender."""
        self.is_whole = True
        if not self.why_not:
            self._limit.reschedule(None)

    def leave(self, why: str) -> None:
        """Its owner is interrupted, and answers 408."""
        self.why_not = why
        self._limit.reschedule(0)


class Reception:
    """Takes in the bodies of one worker, and reads those that are JSON. jobs: that come at once.

    What it raises is an answer (web.HTTPException), with a sentence as its reason.
    """

    def __init__(self, parser: Parser, jobs: int = 1) -> None:
        self.limits, self.parser = parser.limits, parser
        self.here: Mapping[str, set[Coming]] = {kind: set() for kind in KINDS}
        """Those that come, or wait to be read, by kind."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """Bodies that were not taken, by kind and reason: `large`, `late`, `slow`, `places`, `room`
        and `broken`."""

        self._places = {kind: self.limits.bodies for kind in KINDS} | {"job": jobs}

    async def json(self, request: web.Request, kind: str, empty: bytes = b"") -> ParsedJson:
        """What a body says. empty: what stands for a body of nothing."""
        async with self.reading(request, kind, empty) as said:
            return said

    @asynccontextmanager
    async def reading(
        self, request: web.Request, kind: str, empty: bytes = b""
    ) -> AsyncIterator[ParsedJson]:
        """The same for who works on it for long: what it says keeps its room until the block ends,
        and no place.
        """
        async with self.place(kind, self.limits.body_s) as coming:
            with closing(await self.taken(request, coming, getattr(self.limits, kind))) as text:
                said = await self.parsed(text if text.size else Spool.of(empty), "the body")
            self.here[kind].discard(coming)
            yield said

    async def parsed(self, text: Spool, named: str) -> ParsedJson:
        """What a text says that came in a body. named: what it is called where it is refused."""
        with answered(named):
            return await self.parser.read(text)

    async def skipped(self, request: web.Request, kind: str) -> None:
        """Let a body come that nobody wants to know, as far as it may."""
        async with self.place(kind, self.limits.body_s) as coming:
            most = getattr(self.limits, kind)
            with suppress(web.RequestPayloadError):
                async for piece in request.content.iter_any():
                    coming.bytes += len(piece)
                    if coming.bytes > most:
                        return

    @asynccontextmanager
    async def place(self, kind: str, seconds: float) -> AsyncIterator[Coming]:
        """A place for a body of a kind; it has to be whole in so many seconds."""
        limit = asyncio.timeout(seconds)
        coming = Coming(kind, _now(), limit)
        self._enter(coming)
        try:
            async with limit:
                yield coming
        except TimeoutError:
            if not limit.expired():
                raise
            self.refused[kind, "slow" if coming.why_not else "late"] += 1
            why = coming.why_not or f"the body has not come in {seconds:g} s"
            raise web.HTTPRequestTimeout(reason=why) from None
        except SpoolFailed as exc:
            self.refused[kind, "room"] += 1
            said = f"there is no memory for the body: {exc.strerror}"
            raise web.HTTPServiceUnavailable(reason=said) from exc
        finally:
            self._leave(coming)

    async def taken(self, request: web.Request, coming: Coming, most: int, hint: str = "") -> Spool:
        """All of a body, to be closed. most: bytes that it may have. hint: what to do instead."""
        body = Spool()
        try:
            async with aclosing(self.pieces(request, coming, most, hint)) as pieces:
                async for piece in pieces:
                    body.add(piece)
        except BaseException:
            body.close()
            raise
        return body

    async def pieces(
        self, request: web.Request, coming: Coming, most: int, hint: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """The same as it comes."""
        if (request.content_length or 0) > most:
            raise self._too_large(coming, most, hint)
        async with aclosing(self._plain(request, coming)) as plain:
            async for piece in plain:
                self._took(coming, len(piece), most, hint)
                yield piece
        coming.came()

    def _took(self, coming: Coming, count: int, most: int, hint: str) -> None:
        """So many bytes more have come of a body."""
        coming.bytes += count
        if coming.bytes > most:
            raise self._too_large(coming, most, hint)
        wanted = coming.bytes - self.limits.at_once - coming.held
        if wanted <= 0:  # so much comes with each place
            return
        while not self.parser.room.take(wanted):
            if not self._sent_away(holding=True, but=coming):
                self.refused[coming.kind, "room"] += 1
                raise web.HTTPServiceUnavailable(
                    reason=f"other bodies wait, of {self.limits.waiting} bytes at the most"
                )
        coming.held += wanted

    async def _plain(self, request: web.Request, coming: Coming) -> AsyncGenerator[bytes, None]:
        """A body as it was before it was packed."""
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        try:
            if encoding == "identity":
                async for piece in request.content.iter_any():
                    yield piece
            elif encoding in ENCODINGS:
                async with aclosing(_unpacked(request, encoding)) as pieces:
                    async for piece in pieces:
                        yield piece
            else:
                said = (
                    f"a body may be packed by {' and '.join(ENCODINGS)}, not by {encoding[:60]!r}"
                )
                raise web.HTTPUnsupportedMediaType(reason=said)
        except (zlib.error, web.RequestPayloadError) as exc:
            self.refused[coming.kind, "broken"] += 1
            said = "is broken off" if encoding == "identity" else f"is not what {encoding} makes"
            raise web.HTTPBadRequest(reason=f"the body {said}") from exc

    def _too_large(self, coming: Coming, most: int, hint: str) -> web.HTTPException:
        self.refused[coming.kind, "large"] += 1
        return _too_large(f"the body has more than {most} bytes{hint}")

    # places

    def _enter(self, coming: Coming) -> None:
        """Raises HTTPServiceUnavailable where all places are taken, and nobody in them is slow."""
        here = self.here[coming.kind]
        if len(here) >= self._places[coming.kind] and not self._sent_away(coming.kind):
            self.refused[coming.kind, "places"] += 1
            raise web.HTTPServiceUnavailable(reason=f"{len(here)} such bodies come already")
        here.add(coming)

    def _sent_away(
        self, kind: str = "", *, holding: bool = False, but: Coming | None = None
    ) -> bool:
        """Whether there was a slow one, of that kind or that holds room: the slowest has left."""
        now = _now()
        slow = [
            coming
            for each in ([kind] if kind else KINDS)
            for coming in self.here[each]
            if coming is not but and coming.is_slow(now) and (coming.held or not holding)
        ]
        if not slow:
            return False
        slowest = min(slow, key=lambda coming: coming.rate(now))
        slowest.leave("the body comes too slowly, and others wait")
        self._leave(slowest)
        return True

    def _leave(self, coming: Coming) -> None:
        """Its place and its room are free. It may have left already."""
        self.here[coming.kind].discard(coming)
        self.parser.room.give_back(coming.held)
        coming.held = 0


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _unpacked(request: web.Request, encoding: str) -> AsyncGenerator[bytes, None]:
    """What a byte stands for may be a thousand times as long, so the loop has its turn after each
    piece. Raises zlib.error.
    """
    unpack = None
    async for packed in request.content.iter_any():
        if unpack is None:
            unpack = zlib.decompressobj(_window(encoding, packed[0]))
        left = packed
        while left and not unpack.eof:
            yield unpack.decompress(left, PIECE)
            left = unpack.unconsumed_tail
            await asyncio.sleep(0)
    if unpack is not None and not unpack.eof:
        raise zlib.error("it ends too early")


def _window(encoding: str, first: int) -> int:
    """As zlib has it. What calls itself deflate comes with a head (RFC 1950) or without one."""
    if encoding == "gzip":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


@contextmanager
def answered(named: str) -> Iterator[None]:
    """Why a text is not read, as an answer."""
    try:
        yield
    except TooMuch as exc:
        raise _too_large(f"{named} {exc}") from None
    except UnreadableJson as exc:
        raise web.HTTPBadRequest(reason=f"{named} {exc}") from None
    except (Overdue, ParserLost) as exc:
        raise web.HTTPServiceUnavailable(reason=str(exc)) from None


def _too_large(why: str) -> web.HTTPException:
    return web.HTTPRequestEntityTooLarge(max_size=0, actual_size=0, reason=why)
