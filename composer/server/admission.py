"""Admission: who may ask a worker. With tokens whoever shows one; else everybody."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from composer.server.routes import Handler, refusal
from composer.server.tries import Tries

WRONG: Final = "the token is wrong"


class Admission:
    """Lets requests by. tokens: what callers show, empty for none. tries: of the wrong ones."""

    def __init__(self, tokens: Sequence[str], tries: Tries) -> None:
        self._known = [_digest(token) for token in tokens]
        self._tries = tries

    def knows(self, request: web.BaseRequest) -> bool:
        """Whether a request shows one of the tokens."""
        # All are looked at, so that the time tells nothing of which it was.
        shown = _digest(bearer(request))
        return any([hmac.compare_digest(shown, each) for each in self._known])

    def guarded(self, handler: Handler, refused: Callable[[], None]) -> Handler:
        """A handler for those who may ask alone. refused: told of every 401, since an orchestrator
        drops the capability then (contract 2.8).
        """

        async def checked(request: web.Request) -> web.StreamResponse:
            if self._known and (answer := self._wrong(request, refused)):
                return answer
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
