"""Asks a worker on this machine whether its work is fresh: for the HEALTHCHECK of an image.

    python -m composer.health [URL]

It ends with 0 where that is so, else with 1 and the reason. Run as a file (python -I health.py) it
imports nothing of the package, and starts faster.
"""

import json
import os
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 3.0
"""How long the answer may take: a loop that hangs does not answer."""

MOST_BYTES: Final = 65536


def address() -> str:
    """Where the worker listens, by the settings in the environment (server/settings.py)."""
    host = os.environ.get("BYOC_HOST") or "127.0.0.1"
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    port = os.environ.get("BYOC_PORT") or "8000"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def why_not(url: str, seconds: float = SECONDS) -> str:
    """Why the worker there should be started anew; "" where its work is fresh."""
    try:
        parts = urlsplit(url)
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)) as there:
            there.request("GET", "/live", headers={"Connection": "close"})
            answer = there.getresponse()
            body = answer.read(MOST_BYTES)
    except (OSError, HTTPException, ValueError) as exc:
        return f"{url} does not answer: {exc}"
    if answer.status == 200:
        return ""
    try:
        return str(json.loads(body)["why"])
    except (ValueError, TypeError, KeyError):
        return f"{url} answers {answer.status}"


if __name__ == "__main__":
    sys.exit(why_not(sys.argv[1] if len(sys.argv) > 1 else address()) or 0)
