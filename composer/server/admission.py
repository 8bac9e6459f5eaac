"""Admission: who may ask a worker. With tokens whoever shows one; else whatever is no browser."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from composer.server.routes import Handler, refusal
from composer.server.same_origin import SameOrigin, body_refused
from composer.server.tries import Tries

log: Final = logging.getLogger(__name__)

WRONG: Final = "the token is wrong"


class Admission:
    """Lets requests by. tokens: what callers show, empty for none. tries: of the wrong ones.

    origin: by which a browser is known, where there are no tokens. A token keeps browsers out by
    itself: no page can send a header of its own without asking first.
    """

    def __init__(self, tokens: Sequence[str], tries: Tries, origin: SameOrigin) -> None:
        self._known = [_digest(token) for token in tokens]
        self._tries, self._origin, self._told = tries, origin, False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around all routes."""
        if self._known or (refused := self._origin.refused(request)) is None:
            return await handler(request)
        status, why = refused
        if status == 421 and not self._told:  # it may be an orchestrator, whose operator is told
            self._told = True
            log.warning("asked as %.100r, which is refused: %s", request.headers.get("Host"), why)
        return refusal(status, why)

    def knows(self, request: web.BaseRequest) -> bool:
        """Whether a request shows one of the tokens."""
        # All are looked at, so that the time tells nothing of which it was.
        shown = _digest(bearer(request))
        return any([hmac.compare_digest(shown, each) for each in self._known])

    def guarded(
        self, handler: Handler, refused: Callable[[], None], *, json: bool = False
    ) -> Handler:
        """A handler for those who may ask alone. refused: told of every 401, since an orchestrator
        drops the capability then (contract 2.8). json: it reads a body of JSON.
        """

        async def checked(request: web.Request) -> web.StreamResponse:
            if self._known:
                return self._wrong(request, refused) or await handler(request)
            if json and request.can_read_body and (found := body_refused(request)):
                return refusal(*found)
            return await handler(request)

        return checked

    def _wrong(self, request: web.BaseRequest, refused: Callable[[], None]) -> web.Response | None:
        """The answer to a wrong token, None for a right one: that is always let by, whoever else
        has the same address and was wrong.
        """
        peer = request.remote or ""
        if self.knows(request):
            self._tries.right(peer)
            return None
        if wait := self._tries.wrong(peer):
            answer = refusal(429, f"{WRONG}, as it was too often")
            answer.headers["Retry-After"] = str(wait)
            return answer
        refused()
        return refusal(401, WRONG)


def bearer(request: web.BaseRequest) -> str:
    """The token that a request shows, "" for none: `Bearer TOKEN` (RFC 6750, 2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    """What is compared: of one length, whatever the token is."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
