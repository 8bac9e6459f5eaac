"""InputCheck: whether anything comes of the input of a session, and what it is where nothing does.

Bytes that come are not yet pictures. They may be text, a file, sound where pictures are wanted, or
pictures that nobody decodes. A session says which, and does not wait for something else for ever.
"""

from collections.abc import Callable, Sequence
from typing import Final

from composer.engine.account import Report
from composer.session.ends import InputEnd
from composer.session.execution import Execution
from composer.session.timing import Timing

_BEGINNINGS: Final = (
    (b"ftyp", 4, "an MP4 file"),
    (b"\x1aE\xdf\xa3", 0, "a Matroska or WebM file"),
    (b"\xff\xd8\xff", 0, "a JPEG picture"),
    (b"\x89PNG", 0, "a PNG picture"),
    (b"OggS", 0, "an Ogg file"),
    (b"FLV", 0, "an FLV file"),
    (b"RIFF", 0, "a RIFF file"),
    (b"GIF8", 0, "a GIF picture"),
    (b"#EXTM3U", 0, "a playlist"),
    (b"\x00\x00\x00\x01", 0, "pictures without a container"),
)
"""What files begin with, where, and what that is."""

_PRINTABLE: Final = frozenset(b"\t\n\r") | frozenset(range(0x20, 0x7F))


class InputCheck:
    """Looks at the input of one session now and then. now: monotonic seconds."""

    def __init__(self, timing: Timing, now: Callable[[], float]) -> None:
        self.said = ""
        """What is wrong with what comes, "" for nothing."""

        self._timing, self._now = timing, now
        self._given = self._bytes = self._units = 0
        self._fruitful = False
        self._since: float | None = None

    def look(self, execution: Execution) -> None:
        """Note what has come, and what of it the pipeline has taken."""
        ingress, demand = execution.ingress, execution.demand
        if ingress is None or not demand.taken:
            return
        now, report, counts = self._now(), execution.account(), ingress.counts
        given = sum(report.edges[name].offered for name in demand.taken if name in report.edges)
        bears, self._given = given != self._given, given
        comes, self._bytes = counts.bytes != self._bytes, counts.bytes
        brings, self._units = counts.units[demand.wants] != self._units, counts.units[demand.wants]
        self._fruitful = self._fruitful or bears
        if bears or self._waits(ingress, demand.wants, comes=comes, brings=brings):
            self._since, self.said = None, ""
        elif self._since is None:
            self._since = now if comes else None
        elif now - self._since > self._timing.quiet:
            self.said = why_nothing(ingress, demand.wants, _refused(report, demand.readers))

    def _waits(self, ingress: InputEnd, wants: str, *, comes: bool, brings: bool) -> bool:
        """Whether nothing has to come of it just now."""
        kinds = [kind for kind, _ in ingress.tracks]
        # A decoder that is held up by what is behind it is not the input's fault.
        held_up = ingress.waiting > 0 and self._now() - ingress.given_at > self._timing.quiet
        silent = not comes and wants in kinds
        # A camera may be switched off for a while, and the sound goes on.
        off = self._fruitful and not brings and wants == "video" and "audio" in kinds
        return held_up or silent or off

    def ended(self) -> str:
        """Why the session should end, "" for nothing: for so long nothing has come of its input."""
        if not self.said or self._since is None:
            return ""
        long = self._now() - self._since > self._timing.unusable
        return f"for {self._timing.unusable:g} s {self.said}" if long else ""


def why_nothing(ingress: InputEnd, wants: str, refused: str) -> str:
    """What an input is that nothing comes of. wants: "video" or "audio". refused: what who decodes
    it says.
    """
    kinds = [kind for kind, _ in ingress.tracks]
    if wants not in kinds:
        return _without(ingress, wants)
    if refused:
        return f"the input has brought {refused}"
    things = "pictures" if wants == "video" else "sound"
    codec = next(codec for kind, codec in ingress.tracks if kind == wants)
    if not ingress.counts.units[wants]:
        return f"the input has announced {things} ({codec}) and brought none"
    return f"the input has brought {things} ({codec}) that cannot be decoded"


def _without(ingress: InputEnd, wants: str) -> str:
    """What an input is that has no track of a kind."""
    if ingress.tracks:
        alone = "sound" if wants == "video" else "pictures"
        codecs = ", ".join(codec for _, codec in ingress.tracks)
        wanted = "pictures" if wants == "video" else "sound"
        return f"the input has brought {alone} alone ({codecs}), and the pipeline needs {wanted}"
    if ingress.unreadable:
        types = ", ".join(ingress.unreadable)
        return f"the input has brought no track that can be read, but those of types {types}"
    if is_transport_stream(ingress.head):
        return "the input has brought MPEG-TS without a programme that can be read"
    return f"the input has brought {kind_of(ingress.head)}, and no MPEG-TS"


def is_transport_stream(head: bytes) -> bool:
    """Whether bytes look like the beginning of packets (ISO/IEC 13818-1, 2.4.3.2)."""
    return head[:1] == b"G" and head[188:189] in (b"G", b"")


def kind_of(head: bytes) -> str:
    """What something is by its first bytes, in words."""
    for mark, at, kind in _BEGINNINGS:
        if head[at : at + len(mark)] == mark:
            return kind
    if head and _PRINTABLE.issuperset(head):
        return "text"
    return "bytes of no kind that is known"


def _refused(report: Report, readers: Sequence[str]) -> str:
    """What those who decode the input say of what they do not take."""
    words = (
        report.nodes[name].about.get("refused", "") for name in readers if name in report.nodes
    )
    return next((str(word) for word in words if word), "")
