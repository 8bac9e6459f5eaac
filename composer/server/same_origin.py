"""SameOrigin: what a server is called, and which requests a page of somebody else has sent to it.

A browser asks whatever its machine reaches on behalf of every page that it shows: a loopback, and a
network at home. A page cannot change what the browser says of that: `Host` is the name that led
here, and `Origin` and `Sec-Fetch-Site` tell whose page it was (Fetch standard, "Origin header";
Fetch Metadata, 2.2). Nothing but a browser sends the last two.
"""

from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web

from composer.trickle.host import Host

Refused = tuple[int, str]
"""A status, and why."""

OURS: Final = ("same-origin", "none")
"""What a browser says in Sec-Fetch-Site of our own pages, and of an address that was typed."""

JSON: Final = "application/json"


class SameOrigin:
    """Tells the requests of others' pages. known: whether a `Host` is a name of this server. names:
    which these are, for a caller who has used another.
    """

    def __init__(self, known: Callable[[str], bool], names: str) -> None:
        self._known, self._names = known, names

    def refused(self, request: web.BaseRequest, *, by_link: bool = False) -> Refused | None:
        """Why a request is not answered, None where nothing is wrong with it. by_link: a link of
        another site may lead to it.
        """
        headers = request.headers
        host = headers.get("Host", "")
        if host and not self._known(host):
            return 421, f"this server is only known as {self._names}"
        if not by_link and headers.get("Sec-Fetch-Site", "none") not in OURS:
            return 403, "another site may not ask this server"
        if "Origin" in headers and headers["Origin"] != f"http://{host}":
            return 403, "a page of another site may not ask this server"
        return None


def body_refused(request: web.BaseRequest) -> Refused | None:
    """Why a body is not read, None where it may be. A page can send forms and text to anybody; for
    JSON a browser asks first, and gets no answer here.
    """
    if request.content_type != JSON:
        return 415, f"the body should be {JSON}, and Content-Type should say so"
    return None


def called(names: Collection[str]) -> Callable[[str], bool]:
    """Which `Host` is a name of a worker: these, and what no page of a stranger is called. That is
    every number, since it leads to one machine only, localhost, and whatever has no dot.
    """
    known = {host.name for each in names if (host := _host(each))}

    def knows(text: str) -> bool:
        host = _host(text)
        if host is None:
            return False
        here = host.name.endswith(".localhost") or "." not in host.name
        return here or host.name in known or host.address is not None

    return knows


def _host(text: str) -> Host | None:
    """The host in a `Host`, None where it holds none."""
    try:
        return Host.parse(text)
    except ValueError:
        return None
