"""Rows of pictures: files that differ by a number in their names, one picture each."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from composer.errors import MediaError

_NUMBER: Final = re.compile(r"%(?:0\d{1,2})?d")


@dataclass(frozen=True, slots=True)
class Row:
    """The pictures that a pattern names. numbers: theirs, in order; there is one at least."""

    pattern: Path
    numbers: tuple[int, ...]

    @property
    def first(self) -> int:
        return self.numbers[0]

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last have no file."""
        return self.numbers[-1] - self.first + 1 - len(self.numbers)

    @property
    def gap(self) -> int:
        """The first number that has no file; meant for rows that miss some."""
        counted = range(self.first, self.numbers[-1] + 1)
        return next(
            number for number, held in zip(counted, self.numbers, strict=False) if number != held
        )

    def path(self, number: int) -> Path:
        return self.pattern.with_name(_named(self.pattern.name, number))


def find(source: str) -> Row | None:
    """The row that a path with one `%d` or `%03d` in its name means; None for any other path.

    Raises MediaError where no file fits.
    """
    pattern = Path(source)
    if "://" in source or len(_NUMBER.findall(pattern.name)) != 1 or pattern.exists():
        return None
    before, after = (re.escape(part) for part in _NUMBER.split(pattern.name))
    fits = re.compile(rf"{before}(\d+){after}")
    matches = [fits.fullmatch(file.name) for file in _files(pattern.parent)]
    numbers = sorted(
        int(match[1])
        for match in matches
        if match and _named(pattern.name, int(match[1])) == match.string
    )
    if not numbers:
        raise MediaError(f"{pattern.name}: there is no such file, with any number in its place")
    return Row(pattern, tuple(numbers))


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # the pattern is told to name no file
        return []


def _named(name: str, number: int) -> str:
    return _NUMBER.sub(lambda match: match[0] % number, name)
