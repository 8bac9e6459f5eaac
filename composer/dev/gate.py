"""TokenGate: which requests to the development server come from whoever started it.

The server is on the loopback, where every page in the user's browser reaches it, too. So: no name
but ours in Host (a name of somebody else may lead here), no Origin but ours where something
changes, JSON where there is a body, and a token that only the terminal has shown.
"""

import hmac
from typing import Final

from aiohttp import web

from composer.server.admission import bearer
from composer.server.routes import Handler, refusal
from composer.server.same_origin import SameOrigin, body_refused

SAFE: Final = ("GET", "HEAD")

LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer."""

TOKEN: Final = "token"
"""In the address that is printed; the cookie takes its place."""


class TokenGate:
    """Lets requests by that show the token. port: set when the server listens."""

    def __init__(self, token: str) -> None:
        self.port = 0
        self._token = token
        self._origin = SameOrigin(self._is_us, "127.0.0.1 and localhost, at its port")

    @property
    def cookie(self) -> str:
        """Cookies know no ports: two servers on one machine need two names."""
        return f"byoc_dev_{self.port}"

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if refused := self._refused(request):
            return refused
        answer = await handler(request)
        if request.method in SAFE and TOKEN in request.query and not answer.prepared:
            answer.set_cookie(
                self.cookie, self._token, httponly=True, samesite="Strict", path="/", max_age=None
            )
        return answer

    def _refused(self, request: web.Request) -> web.Response | None:
        if found := self._origin.refused(request, by_link=request.path == "/"):
            return refusal(*found)
        if not self._knows(request):
            return refusal(401, "open the address that `byoc dev` has printed")
        if request.method not in SAFE and (found := body_refused(request)):
            return refusal(*found)
        return None

    def _is_us(self, host: str) -> bool:
        return host in {f"{name}:{self.port}" for name in LOCAL}

    def _knows(self, request: web.Request) -> bool:
        """Every way to show the token is looked at, whichever is right."""
        shown = [
            request.cookies.get(self.cookie, ""),
            bearer(request),
            request.query.get(TOKEN, "") if request.path == "/" else "",
        ]
        wanted = self._token.encode()
        return any(
            [hmac.compare_digest(each.encode("utf-8", "surrogateescape"), wanted) for each in shown]
        )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of aiohttp: also on streams and on its own refusals."""
    response.headers.update(HEADERS)
