"""What a stream should give, beside what was given: nothing, or a list of what is different."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from tests.media.streams.elementary import CLOCK, STEP
from tests.media.streams.matrix import Choice, Stream
from tests.media.streams.seen import HOLE, Seen, Span

EXACT: Final = 0.0015
"""Seconds: a tick of Matroska's or FLV's clock, and rounding."""

ROUGH: Final = 0.021
"""Half a picture: where times are not written, they are made up of what is known."""

ACROSS: Final = 0.06
"""A step of the clock: how long it was cannot be known to the picture."""

NEIGHBOUR: Final = 0.2
"""As far as a picture's place in decoding is from that in showing."""

HEARD: Final = 0.035
"""A block of sound, and what an encoder adds around it."""


def wanted(stream: Stream) -> Seen:
    """What was put into the stream, its times from the first picture on."""
    pictures: list[tuple[int | None, float | None]] = [
        (number, ticks / CLOCK) for number, ticks in stream.numbers
    ]
    return Seen(pictures, spans=list(stream.sounds)).from_first()


def in_time(seen: Seen) -> Seen:
    """The same; where a time is missing or one comes twice, each picture a step from the next, as
    FFmpeg's command guesses it.
    """
    times = [at for _, at in seen.pictures]
    known = [at for at in times if at is not None]
    if known == times and all(here < there for here, there in pairwise(known)):
        return seen
    first = next(iter(seen.numbers), None) or 0
    pictures: list[tuple[int | None, float | None]] = [
        (number, None if number is None else (number - first) * STEP / CLOCK)
        for number in seen.numbers
    ]
    return replace(seen, pictures=pictures)


def tolerance(choice: Choice) -> float:
    """Seconds by which the time of a picture may be off."""
    if jumps(choice):
        return ACROSS
    written = choice.pes in ("picture", "units") and choice.timing not in ("pts-some", "no-dts")
    return EXACT if written else ROUGH


def jumps(choice: Choice) -> bool:
    return choice.timing.startswith("jump")


def differences(
    given: Seen, right: Seen, within: float = EXACT, *, known: bool = False
) -> list[str]:
    """What is not as it should be. Both with their times from the first picture on.

    known: pictures without a time are let be.
    """
    found = []
    if given.numbers != right.numbers:
        found.append(f"pictures {_short(given)} for {_short(right)}")
    else:
        found += _times(given, right, within, known=known)
    found += _sounds(given.spans, right.spans, within)
    if given.damaged and not right.damaged:
        found.append(f"{given.damaged} told as damaged")
    return found


def _times(given: Seen, right: Seen, within: float, *, known: bool) -> list[str]:
    off = [
        (number, at, there)
        for (number, at), (_, there) in zip(given.pictures, right.pictures, strict=True)
        if there is not None and (not known if at is None else abs(at - there) > within)
    ]
    if not off:
        return []
    number, at, there = off[0]
    said = "none" if at is None else f"{at:.3f}"
    return [f"{len(off)} times: picture {number} at {said} s for {there:.3f}"]


def _sounds(given: list[Span], right: list[Span], within: float) -> list[str]:
    groups = list(_joined(right))
    if len(given) != len(groups):
        return [f"sound {_spoken(given)} for {_spoken(right)}"]
    found = []
    for here, group in zip(given, groups, strict=True):
        first, last = group[0], group[-1]
        allowed = max(HEARD, within)
        if (
            abs(here.begin - first.begin) > allowed
            or abs(here.end - last.end) > allowed
            or (here.rate, here.channels) != (first.rate, first.channels)
        ):
            found.append(f"sound {here} for {_spoken(group)}")
            continue
        for there in group:
            part = here.between(there.begin, there.end)
            off = abs(part.tone - there.tone) > max(3.0, 2 / (there.end - there.begin))
            if off or part.share < min(there.share, 0.9) - 0.05:
                found.append(f"sound {part} for {there}")
    return found


def _joined(spans: list[Span]) -> Iterator[list[Span]]:
    """Spans that follow each other without a hole, and in one form."""
    group: list[Span] = []
    for span in spans:
        if group:
            last = group[-1]
            same = (last.rate, last.channels) == (span.rate, span.channels)
            if not same or span.begin - last.end > HOLE:
                yield group
                group = []
        group.append(span)
    if group:
        yield group


def _spoken(spans: list[Span]) -> str:
    if len(spans) > 3:
        return f"in {len(spans)} spans, {sum(each.end - each.begin for each in spans):.2f} s"
    return "; ".join(map(str, spans)) or "none"


def _short(seen: Seen) -> str:
    """How many, and where numbers do not go on."""
    runs: list[str] = []
    begin: int | None = None
    last: int | None = None
    for each in (*seen.numbers, None):
        if begin is not None and last is not None and each == last + 1:
            last = each
            continue
        if begin is not None:
            runs.append(f"{begin}-{last}" if begin != last else f"{begin}")
        begin = last = each
    more = " ..." if len(runs) > 6 else ""
    unread = seen.numbers.count(None)
    return (
        f"{len(seen.pictures)} ({' '.join(runs[:6])}{more}"
        f"{f', {unread} unreadable' if unread else ''})"
    )


def run_follows(choice: Choice) -> bool:
    """Whether libavformat is the measure for a run of a file: what it takes for tracks counts."""
    return choice.scene in CHOSEN or follow_each_other(choice)


def session_differs(choice: Choice) -> str:
    """Why a session may give something else than what the stream holds."""
    looks_whole = choice.packets == "stuffed-anywhere" and choice.length == "zero"
    if choice.pictures == "h264-fields" and looks_whole:
        return "its first PES packet looks whole at its first stuffing: a field is given, and again"
    return ""


def run_differs(choice: Choice) -> str:
    """Why nothing is the measure for a run of a file."""
    if choice.way == "twins":
        return "libavformat takes packets that came twice for others, and so damages what it gives"
    if "in-place" in choice.scene:
        return "libavformat gives what one codec made to the decoder of another"
    if choice.pictures.startswith("h264-fields") and choice.timing == "pts-some":
        return "nothing says how long a field lasts that has no time"
    return ""


def without_late(right: Seen, given: Seen, library: Seen) -> Seen:
    """What a run of a file has to give: FFmpeg's command leaves out pictures at times that it has
    given already, and so may a run.
    """
    late = library.late - set(given.numbers)
    return replace(right, pictures=[each for each in right.pictures if each[0] not in late])


def follow_each_other(choice: Choice) -> bool:
    return "change" in choice.scene or "move" in choice.scene


CHOSEN: Final = ("two-sounds", "swapped-sounds", "two-programs")
"""Scenes with more than one track of a kind, all the time."""


def library_tolerance(choice: Choice) -> float:
    """Where not each picture's time is written, its parser gives some to a neighbour: once in some
    hundred times where PES packets are cut anywhere, and what is guessed of them is off as far.
    """
    return tolerance(choice) if choice.pes in ("picture", "units") else NEIGHBOUR


def library_differs(choice: Choice) -> str:
    """Why libavformat is no measure here; what was put into the stream is."""
    if jumps(choice):
        return "it gives times as they are written; a session's go on (its output must)"
    if choice.way == "twins":
        return "it decodes a packet that came twice two times; ISO/IEC 13818-1 2.4.3.3 forbids it"
    if follow_each_other(choice):
        return "tracks that follow each other are streams beside each other to it"
    return ""
