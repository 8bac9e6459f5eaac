"""How an HTTP session for channels is made."""

import ssl
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection

from composer import strictjson
from composer.trickle.client import MOST_INTERIM, Client
from composer.trickle.connection import CONNECT_SECONDS
from composer.trickle.resolver import Resolver

Http = aiohttp.ClientSession


class Trust:
    """Which certificates are taken. verify_tls: False takes any, since orchestrators sign their own
    (contract 1). ca_file: some to trust beside the system's. Raises OSError for one that cannot be
    read.
    """

    def __init__(self, *, verify_tls: bool = True, ca_file: str = "") -> None:
        self._context: ssl.SSLContext | None = None
        self.ssl: ssl.SSLContext | bool = verify_tls
        """As aiohttp takes it."""

        if verify_tls and ca_file:
            self.ssl = self._context = ssl.create_default_context()
            self._context.load_verify_locations(ca_file)

    def context(self) -> ssl.SSLContext:
        """The same for who needs a context; made once, as it reads the system's certificates."""
        if self._context is None:
            self._context = ssl.create_default_context()
            if not self.ssl:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        return self._context


def open_http(*, verify_tls: bool = True, ca_file: str = "") -> Http:
    """A session for channels by itself. Raises OSError where ca_file cannot be read."""
    return session(Trust(verify_tls=verify_tls, ca_file=ca_file), Resolver())


def session(trust: Trust, names: AbstractResolver) -> Http:
    """A session for channels: a request may wait for ever, only connecting has a limit. names: ends
    with it.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, connect=None, sock_read=None, sock_connect=CONNECT_SECONDS
    )
    return aiohttp.ClientSession(
        connector=Connector(trust, names),
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

    def __init__(self, trust: Trust, names: AbstractResolver) -> None:
        self._names = names
        super().__init__(ssl=trust.ssl, limit=0, resolver=names)
        self.client: Final = Client(names, trust.context)

    async def close(self, *, abort_ssl: bool = False) -> None:
        self.client.close()
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()


def client_of(http: Http) -> Client:
    """That of a session which was made here."""
    assert isinstance(http.connector, Connector)
    return http.connector.client
