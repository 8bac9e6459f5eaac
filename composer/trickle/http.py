"""The HTTP session that all channels of a process share."""

import ssl
from typing import Final

import aiohttp

from composer import strictjson
from composer.trickle.resolver import Resolver

Http = aiohttp.ClientSession

CONNECT_SECONDS: Final = 10.0


def open_http(*, verify_tls: bool = True, ca_file: str = "") -> Http:
    """A session for channels: a request may wait for ever, only connecting has a limit.

    verify_tls: False takes any certificate, since orchestrators sign their own (contract 1).
    ca_file: certificates to trust beside the system's. Raises OSError for one that cannot be read.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, connect=None, sock_read=None, sock_connect=CONNECT_SECONDS
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=_trust(verify_tls, ca_file), limit=0, resolver=Resolver()
        ),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        json_serialize=strictjson.text,
    )


def _trust(verify_tls: bool, ca_file: str) -> ssl.SSLContext | bool:  # noqa: FBT001
    if not verify_tls:
        return False
    if not ca_file:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context
