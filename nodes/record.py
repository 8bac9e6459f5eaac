"""Write records to a file."""

import os
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

from pydantic import Field

from composer import Context, Fixed, Moment, Node, Role, strictjson
from composer.node.values import Record as Row

STANDARD_OUTPUT: Final = "-"
DEFAULT_PATH: Final = "records.jsonl"


class Record(Node):
    """Write one line of JSON for each record: {"pts": ..., "seconds": ..., and what it holds}.

    record: any flat mapping; detections are turned into records on the way. Times are those of the
    picture it was made from. Each line is in the file before the next record is taken. A file run
    writes the file anew, sessions add to it; a session with a data channel sends the lines there
    unless a `path` is given. `--output NODE=FILE` of a run comes before `path`. Numbers that JSON
    does not know (NaN) become null.
    """

    role = Role.DATA

    path: str = Fixed(
        DEFAULT_PATH,
        min_length=1,
        description="file below the working directory; - is standard output",
    )
    max_lines: int = Field(
        0, ge=0, le=1_000_000_000, description="lines after which nothing is written; 0: no limit"
    )

    _file: BinaryIO | None = None
    _lines: int = 0
    _send: Callable[[str], None] | None = None

    def plays_role(self) -> bool:
        return self.path == DEFAULT_PATH

    def setup(self, ctx: Context) -> None:
        if ctx.live and ctx.data is not None and self.plays_role():
            self._send = ctx.data
            return
        path = ctx.sink or self.path
        if path != STANDARD_OUTPUT:
            # not buffered: close() has nothing left to write that could fail
            self._file = open(path, "ab" if ctx.live else "wb", buffering=0)

    def process(self, record: Row, at: Moment) -> None:
        if self.max_lines and self._lines >= self.max_lines:
            return
        self._lines += 1
        text = as_json({"pts": at.pts, "seconds": round(at.seconds, 6)} | record)
        if self._send is not None:
            self._send(text)
            return
        line = text + "\n"
        if self._file is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        try:
            write_all(self._file, line.encode())
        except OSError as exc:
            raise OSError(exc.errno, os.strerror(exc.errno or 0), self._file.name) from exc

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def write_all(file: BinaryIO, line: bytes) -> None:
    """Write a whole line to a file without buffer, which may take it in parts."""
    rest = memoryview(line)
    while rest:
        rest = rest[file.write(rest) :]


def as_json(row: Row) -> str:
    """One line of JSON. NumPy numbers and arrays become numbers and lists, the unknown its text."""
    return strictjson.text(row, ensure_ascii=False)
