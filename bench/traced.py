"""The worker with a stopwatch in it: CPU time of each part of the path, written when it ends.

    python -m bench.traced OUT.json serve FILE...

Every thread is measured by its own clock of CPU time, so what a part waits for costs it nothing.
"""

import atexit
import json
import sys
import time
from asyncio import selector_events
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

from composer.command import cli
from composer.engine.stage import StageRun
from composer.media import live_reader, picture_encoder
from composer.session import egress, ingress
from composer.trickle import connection, line

SPENT: Final[defaultdict[str, float]] = defaultdict(float)
"""Seconds of CPU by part; "pictures" is a count."""

BEGAN: Final[dict[str, float]] = {}


def timed(owner: Any, name: str, part: str) -> None:
    """Count the CPU time of a method as one part's."""
    inner: Callable[..., Any] = getattr(owner, name)

    @wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time()
        try:
            return inner(*args, **kwargs)
        finally:
            SPENT[part] += time.thread_time() - began

    setattr(owner, name, outer)


def framed() -> None:
    """Count what the loop's thread spends from the first segment of the input to its end, and all
    that the threads of stages spend.
    """
    attach, end, main = ingress.Ingress.attach, ingress.Ingress.end, StageRun._main

    def first_attach(self: Any, source: Any) -> None:
        BEGAN.setdefault("loop", time.thread_time())
        attach(self, source)

    def last_end(self: Any) -> None:
        end(self)
        SPENT["loop"] += time.thread_time() - BEGAN["loop"]
        SPENT["pictures"] += self.counts.units["video"]

    def whole_main(self: Any, place: int) -> None:
        main(self, place)
        SPENT["threads"] += time.thread_time()

    ingress.Ingress.attach = first_attach  # type: ignore[method-assign]
    ingress.Ingress.end = last_end  # type: ignore[method-assign]
    StageRun._main = whole_main  # type: ignore[method-assign]


def main() -> None:
    out = Path(sys.argv.pop(1))
    transport = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    timed(transport, "_read_ready", "read")
    timed(transport, "write", "write")
    timed(transport, "writelines", "write")
    timed(line.Line, "send", "sent")
    timed(connection.ServerConnection, "read_now", "received")
    timed(ingress._Units, "take_in", "demux")
    timed(live_reader._Decoder, "decode", "decode")
    timed(picture_encoder.PictureEncoder, "encode", "encode")
    timed(egress.Egress, "packet", "mux")
    framed()
    atexit.register(lambda: out.write_text(json.dumps(SPENT)))
    cli.main()


if __name__ == "__main__":
    main()
