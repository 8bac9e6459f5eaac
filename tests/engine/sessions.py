"""A session of a node whose setup() the test holds up."""

import threading
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue
from typing import ClassVar

import av

from composer import YUV, Context, Live, Node, OwnYUV
from composer.compiler.plan import Mode
from composer.engine.account import Report
from composer.engine.notices import Happened, Notice
from composer.engine.run import Run
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import accounted
from tests.stubs import calling, finished, luma, picture, plan_of, reach, sink


class Slow(Node):
    """Doubles the luma, once its setup() was allowed to end."""

    factor: int = 2
    shade: int = Live(0)
    tried: ClassVar[list[int]] = []
    at_once: ClassVar[Counter[str]] = Counter()
    allowed: ClassVar[threading.Event] = threading.Event()
    begun: ClassVar[threading.Event] = threading.Event()
    closed: ClassVar[list[int]] = []
    fails: ClassVar[set[int]] = set()

    def setup(self, ctx: Context) -> None:
        self.tried.append(self.factor)
        self.at_once["now"] += 1
        self.at_once["most"] = max(self.at_once["most"], self.at_once["now"])
        self.begun.set()
        reach(self.allowed)
        self.at_once["now"] -= 1
        if self.factor in self.fails:
            raise RuntimeError("no memory left")

    def process(self, image: YUV) -> OwnYUV:
        new = pixels.copy(image)
        for plane in pixels.planes(new)[:1]:
            plane *= self.factor
            plane += self.shade
        return new

    def close(self) -> None:
        self.closed.append(self.factor)


def slow() -> type[Slow]:
    class Here(Slow):
        allowed: ClassVar[threading.Event] = threading.Event()
        begun: ClassVar[threading.Event] = threading.Event()
        closed: ClassVar[list[int]] = []
        fails: ClassVar[set[int]] = set()
        tried: ClassVar[list[int]] = []
        at_once: ClassVar[Counter[str]] = Counter()

    return Here


def open_slow() -> type[Slow]:
    """One that does not wait, as long as it is not told to."""
    node = slow()
    node.allowed.set()
    return node


class Fed(Node):
    """Gives the pictures that a test hands to it."""

    feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

    def process(self) -> Iterator[YUV]:
        while (number := self.feed.get(timeout=stubs.WAIT)) is not None:
            yield picture(number)


class Session:
    """A live run of fed -> slow -> out, frame by frame."""

    def __init__(self, node: type[Slow], options: str = "") -> None:
        """options: of the slow node, as in ", concurrency: 2"."""

        class Here(Fed):
            feed: ClassVar["SimpleQueue[int | None]"] = SimpleQueue()

        self.feed = Here.feed
        self.seen: SimpleQueue[int] = SimpleQueue()
        self.notices: SimpleQueue[tuple[str, str, str]] = SimpleQueue()

        def see(image: av.VideoFrame) -> av.VideoFrame:
            self.seen.put(luma(image))
            return image

        plan = plan_of(
            "params: {by: slow.factor, shade: slow.shade}\n"
            f"nodes: {{fed: {{type: fed}}, slow: {{type: slow{options}}}, see: {{type: see}},"
            " out: {type: collect}}",
            Mode.LIVE,
            fed=Here,
            slow=node,
            see=calling(see),
            collect=sink(),
        )
        self.run = Run(plan, notify=self.heard)

    def heard(self, notice: Notice) -> None:
        if notice.kind is not Happened.APPLIED:
            self.notices.put((notice.kind.value, notice.node, notice.said))

    def told(self) -> list[str]:
        """What was told of it and not looked at yet."""
        return [self.notices.get()[0] for _ in range(self.notices.qsize())]

    def frame(self, number: int) -> int:
        self.feed.put(number)
        return self.seen.get(timeout=stubs.WAIT)

    def until(self, value: int, *, times: int = 1) -> None:
        """Give the same picture again until it comes out like this, so many times on end."""
        count = 0
        for _ in range(100_000):
            count = count + 1 if self.frame(10) == value else 0
            if count == times:
                return
        raise AssertionError(f"never {value}")

    def end(self) -> Report:
        self.feed.put(None)
        report = finished(self.run)
        accounted(self.run.plan, report)
        return report
