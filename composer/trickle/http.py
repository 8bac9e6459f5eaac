"""The HTTP session that all channels of a process share."""

import ssl
from typing import Any, Final

import aiohttp
from aiohttp.connector import Connection

from composer import strictjson
from composer.trickle.client import MOST_INTERIM, Client
from composer.trickle.connection import CONNECT_SECONDS
from composer.trickle.resolver import Resolver

Http = aiohttp.ClientSession


def open_http(*, verify_tls: bool = True, ca_file: str = "") -> Http:
    """A session for channels: a request may wait for ever, only connecting has a limit.

    verify_tls: False takes any certificate, since orchestrators sign their own (contract 1).
    ca_file: certificates to trust beside the system's. Raises OSError for one that cannot be read.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, connect=None, sock_read=None, sock_connect=CONNECT_SECONDS
    )
    return aiohttp.ClientSession(
        connector=Connector(_trust(verify_tls, ca_file)),
        response_class=_InterimBounded,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        json_serialize=strictjson.text,
    )


class _InterimBounded(aiohttp.ClientResponse):
    """aiohttp goes through interim answers for as long as they come."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol, left = connection.protocol, MOST_INTERIM + 1
        assert protocol is not None
        read = protocol.read

        async def bounded() -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise aiohttp.ClientConnectionError("interim answers without end")
            return await read()

        protocol.read = bounded  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            protocol.read = read  # type: ignore[method-assign]


class Connector(aiohttp.TCPConnector):
    """How servers of channels are reached: by aiohttp, and by `client` where a body is read in
    threads. Both find names and trust certificates in the same way.
    """

    def __init__(self, trust: ssl.SSLContext | bool) -> None:  # noqa: FBT001
        self._names = Resolver()
        super().__init__(ssl=trust, limit=0, resolver=self._names)
        self.client: Final = Client(self._names, lambda: _context(trust))

    async def close(self, *, abort_ssl: bool = False) -> None:
        self.client.close()
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()


def client_of(http: Http) -> Client:
    """Those of a session that open_http() made."""
    assert isinstance(http.connector, Connector)
    return http.connector.client


def _trust(verify_tls: bool, ca_file: str) -> ssl.SSLContext | bool:  # noqa: FBT001
    if not verify_tls:
        return False
    if not ca_file:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


def _context(trust: ssl.SSLContext | bool) -> ssl.SSLContext:  # noqa: FBT001
    if isinstance(trust, ssl.SSLContext):
        return trust
    context = ssl.create_default_context()
    if not trust:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
