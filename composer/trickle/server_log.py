"""The log of HTTP servers: their own mistakes, and not what peers sent that is no request.

Such a peer is answered 400 by aiohttp, which also logs a traceback with what was sent: a query, a
header, whatever secrets these hold, as often as anybody likes.
"""

import logging
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError


class _Mistakes(logging.Filter):
    """Leaves out what is no mistake of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


SERVER_LOG: Final = logging.getLogger("aiohttp.server.composer")
"""For the `logger` of aiohttp's servers. Below the one that they have by themselves, whose level
holds for it, too.
"""
SERVER_LOG.addFilter(_Mistakes())
