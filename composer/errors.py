"""Everything that can go wrong on purpose.

ComposerError
  PipelineInvalid   the file is wrong: edit the lines in .problems
  ParamRejected     this patch is wrong, what runs goes on: .problems, one per field
  NodeFailed        a node raised: .node, .doing and .seconds say where, __cause__ says why
  DeviceMissing     a device was asked for that this machine does not have
  MediaError        the bytes, the file or the codec are not what was asked for
  SettingsInvalid   a flag or a variable of the environment: the message names it
  Stalled           every stage waits for another one: the graph cannot go on
    Overdue         work that blocks has not come back in its time, and is left behind
    Crowded         so much was left behind that no more of its kind is begun
    ProcessLost     the process of a session ended before its time: the message says by what
  ParserLost        the process that reads large JSON could not be begun, or has ended
  TrickleError      a channel of a session
    ChannelEnded    it is closed or gone, as the other side wanted
    ChannelLost     its server cannot be reached or understood any more
    SegmentLost     one segment was broken off; the next one may go well
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A run of characters on one line of a file. Lines and columns count from 1."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place.

    `at` is the dotted path of what is wrong (nodes.halo.radius), for callers who have no file.
    """

    code: str
    message: str
    at: str = ""
    file: str = ""
    span: Span | None = None
    hint: str = ""

    def order(self) -> tuple[str, Span, str]:
        """Sort key: as the reader meets them in the files."""
        return (self.file, self.span or Span(0, 0), self.message)


MOST_WORDS: Final = 2000
"""Characters of what an exception of anybody's code says that are told."""


def words_of(exc: BaseException) -> str:
    """What an exception says, as far as it can be told: its text may be of any length, and what
    makes it may raise anything itself.
    """
    return _had(lambda: str(exc), "(what it says cannot be told)")


def told(exc: BaseException) -> str:
    """The kind of an exception, and its words."""
    kind, words = kind_of(exc), words_of(exc)
    return f"{kind}: {words}" if words else kind


def kind_of(exc: BaseException) -> str:
    """The name of its class."""
    return _had(lambda: type(exc).__name__, "an exception")


def cut(text: str, most: int) -> str:
    """The beginning of a text, and how much is missing."""
    rest = len(text) - most
    return f"{text[:most]} ... ({rest} characters more)" if rest > 0 else text


def _had(make: Callable[[], str], instead: str) -> str:
    """A text that anybody's code makes, cut where it is long."""
    try:
        return f"{cut(make(), MOST_WORDS)}"
    except BaseException as exc:
        if is_ours(exc):
            raise
        return instead


def is_ours(exc: BaseException) -> bool:
    """Whether it is the user who ends the program, and no node: Python tells the main thread
    alone.
    """
    here = threading.current_thread()
    return isinstance(exc, KeyboardInterrupt) and here is threading.main_thread()


class ComposerError(Exception):
    """Raised on purpose, with a sentence for the reader."""


class PipelineInvalid(ComposerError):
    """A pipeline file cannot be used. Holds every Problem that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: Final = tuple(sorted(problems, key=Problem.order))
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first.code}: {first.message}{more}")


class ParamRejected(ComposerError):
    """A patch was refused as a whole. Holds one Problem per field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))


class NodeFailed(ComposerError):
    """A node raised. `seconds` is the time of the frame it was given, None outside frames."""

    def __init__(self, node: str, doing: str, cause: BaseException, seconds: float | None) -> None:
        self.node: Final = node
        self.doing: Final = doing
        self.seconds: Final = seconds
        when = "" if seconds is None else f" at {seconds:.3f}s"
        super().__init__(f"node {node!r} failed in {doing}{when}: {told(cause)}")
        self.__cause__ = cause


class DeviceMissing(ComposerError):
    """A device was asked for that this machine does not have."""


class MediaError(ComposerError):
    """A file, a track or a codec is not what was asked for."""


class SettingsInvalid(ComposerError):
    """A flag or a variable of the environment cannot be used."""


class Stalled(ComposerError):
    """Every stage waits for another one."""


class Overdue(Stalled):
    """Work that blocks has not come back in its time, and is left behind."""


class Crowded(Stalled):
    """So much work of a kind was left behind that no more of it is begun."""


class ProcessLost(Stalled):
    """The process of a session ended before its time. how: "SIGSEGV", "exit 3", "memory", ..."""

    def __init__(self, message: str, how: str) -> None:
        self.how: Final = how
        super().__init__(message)


class ParserLost(ComposerError):
    """The process that reads large JSON could not be begun, or has ended."""


class TrickleError(ComposerError):
    """Something about a channel. Its address is a secret and never in the message."""


class ChannelEnded(TrickleError):
    """The channel is closed or gone."""


class ChannelLost(TrickleError):
    """The channel's server cannot be reached or understood any more."""


class SegmentLost(TrickleError):
    """One segment was broken off."""
