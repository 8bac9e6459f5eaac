"""Terminal: what is said there, and the keys that are read there."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from composer.errors import Stalled
from composer.pipeline import report
from composer.server.reload import Outcome, Reload
from composer.threads import Threads

SAVE_SECONDS: Final = 30.0
"""What the disk may take for a snapshot."""

KEYS: Final = "r rebuild all   p pause   s snapshot   q quit"


def ready(link: str, watched: int, feed: str, *, keys: bool) -> str:
    """What is said once, when the page can be opened."""
    files = f"{watched} file{'' if watched == 1 else 's'}"
    lines = [
        "",
        f"  open     {link}",
        f"  input    {feed}",
        f"  watched  {files}; what is saved is applied",
        *([f"  keys     {KEYS}"] if keys else []),
        "",
    ]
    return "\n".join(lines)


def line(reload: Reload) -> str:
    """A reload in one line, and its problems below where it was refused."""
    changed = ", ".join(Path(file).name for file in reload.changed) or "everything"
    nodes = f" {', '.join(reload.nodes)}" if reload.nodes else ""
    text = f"{changed}: {reload.outcome}{nodes} in {reload.milliseconds:.0f} ms"
    if reload.outcome is Outcome.REFUSED:
        return f"{text}; the old plan runs on\n{report.text(reload.problems, reload.lines)}"
    return text


@contextlib.contextmanager
def keys(obey: Mapping[str, Callable[[], None]], source: TextIO = sys.stdin) -> Iterator[bool]:
    """Calls what belongs to a key when it is pressed; gives whether there are keys at all.

    The terminal is as it was afterwards. Needs a running loop.
    """
    if not source.isatty():
        yield False
        return
    number = source.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        for letter in os.read(number, 64).decode(errors="ignore").lower():
            if letter in obey:
                obey[letter]()

    tty.setcbreak(number)
    loop.add_reader(number, pressed)
    try:
        yield True
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


async def saved(picture: Awaitable[bytes], folder: Path) -> Path:
    """A snapshot in a file of its own. Raises MediaError and OSError."""
    data = await picture
    path = folder / f"snapshot-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
    try:
        await Threads("snapshot", 1).run(SAVE_SECONDS, path.write_bytes, data)
    except Stalled as exc:
        raise OSError(None, str(exc)) from exc
    return path
