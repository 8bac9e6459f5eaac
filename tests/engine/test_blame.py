"""Whatever a node raises, wherever it does, is that node's and ends its run at the most."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from composer import YUV, Context, Node
from composer.compiler.plan import Mode
from composer.engine.blame import blamed
from composer.engine.run import Run
from composer.errors import NodeFailed
from composer.threads import Threads
from tests import stubs
from tests.stubs import plan_of


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise SystemExit(1)


RAISED: list[Callable[[], BaseException]] = [
    lambda: ValueError("no"),
    lambda: SystemExit(3),
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
    StopIteration,
    lambda: BaseException("no"),
    Mute,
    lambda: MemoryError("x" * 5_000_000),
]
IDS = ["error", "exit", "interrupt", "cancelled", "generator", "stop", "base", "mute", "long"]


class Raising(Node):
    """Raises at one place."""

    at: str = ""
    remembers = True
    raised: ClassVar[Callable[[], BaseException]] = lambda: ValueError("no")

    def reach(self, place: str) -> None:
        if self.at == place:
            raise type(self).raised()

    def setup(self, ctx: Context) -> None:
        self.reach("setup")

    def about(self) -> dict[str, Any]:
        self.reach("about")
        return {}

    def see(self, **values: Any) -> None:
        self.reach("see")

    def process(self, image: YUV) -> YUV:
        self.reach("process")
        return image

    def close(self) -> None:
        self.reach("close")


class RaisingMany(Raising):
    """The same, with a flush()."""

    def process(self, image: YUV) -> Iterator[YUV]:  # type: ignore[override]
        self.reach("process")
        yield image

    def flush(self) -> Iterator[Any]:
        self.reach("flush")
        return iter(())


class RaisingSource(stubs.Count):
    """Raises among its pictures, or where it is closed among them."""

    at: str = ""
    raised: ClassVar[Callable[[], BaseException]] = lambda: ValueError("no")

    def process(self) -> Iterator[stubs.Plain]:
        try:
            for image in super().process():
                yield image
                if self.at == "process":
                    raise type(self).raised()
        finally:
            if self.at == "end":
                raise type(self).raised()


def ran(text: str, mode: Mode, **nodes: type[Node]) -> Run:
    """A run in a thread of its own that has ended, however it did."""
    run = Run(plan_of(text, mode, **nodes))
    failed: list[BaseException] = []

    def start() -> None:
        try:
            run.start()
        except NodeFailed as exc:
            failed.append(exc)

    Threads("start", 1).call(stubs.WAIT, start)
    assert run.done.wait(stubs.WAIT)
    for thread in [thread for stage in run.assembly.stages for thread in stage.threads]:
        if thread.ident is not None:
            thread.join(stubs.WAIT)
            assert not thread.is_alive()
    return run


@pytest.fixture(autouse=True)
def _no_thread_ends_with_an_exception(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ended: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", ended.append)
    yield
    assert ended == []


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("raised", RAISED, ids=IDS)
@pytest.mark.parametrize("at", ["setup", "process", "see", "flush", "close"])
def test_where_errors_end_a_run_it_ends_and_says_which_node(
    at: str, raised: Callable[[], BaseException], mode: Mode
) -> None:
    base = RaisingMany if at == "flush" else Raising
    cls = type("Own", (base,), {"raised": staticmethod(raised), "__module__": __name__})
    every = ", every: 2" if at == "see" else ""
    run = ran(
        f"nodes: {{s: {{type: count}}, n: {{type: own, at: {at}, on_error: fail{every}}},"
        " o: {type: collect}}",
        mode,
        own=cls,
        collect=stubs.sink(),
    )
    assert isinstance(run.failure, NodeFailed)
    assert (run.failure.node, run.failure.doing) == ("n", f"{at}()")
    assert len(str(run.failure)) < 5000


@pytest.mark.parametrize("raised", RAISED, ids=IDS)
@pytest.mark.parametrize("at", ["process", "see", "about"])
def test_where_frames_go_by_errors_all_of_them_come_out(
    at: str, raised: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    cls = type("Own", (Raising,), {"raised": staticmethod(raised), "__module__": __name__})
    collect = stubs.sink()
    every = ", every: 2" if at == "see" else ""
    with caplog.at_level(logging.WARNING):
        run = ran(
            f"nodes: {{s: {{type: count, count: 10}}, o: {{type: collect}},"
            f" n: {{type: own, in: s, at: {at}, on_error: pass{every}}}}}".replace(
                "o: {type: collect}", "o: {type: collect, in: n}"
            ),
            Mode.FILE,
            own=cls,
            collect=collect,
        )
    assert run.failure is None
    assert len(collect.seen) == 10
    assert len(caplog.records) == 1
    assert "node 'n'" in caplog.messages[0]
    assert len(caplog.messages[0]) < 5000


@pytest.mark.parametrize("raised", RAISED, ids=IDS)
@pytest.mark.parametrize("at", ["process", "end"])
def test_a_source_ends_its_run_and_no_more(at: str, raised: Callable[[], BaseException]) -> None:
    cls = type("Own", (RaisingSource,), {"raised": staticmethod(raised), "__module__": __name__})
    run = ran(
        f"nodes: {{s: {{type: own, count: 3, at: {at}}}, o: {{type: collect}}}}",
        Mode.FILE,
        own=cls,
        collect=stubs.sink(),
    )
    assert isinstance(run.failure, NodeFailed)
    assert run.failure.node == "s"


def test_the_user_is_heard_in_the_main_thread() -> None:
    with pytest.raises(KeyboardInterrupt), blamed("n", "setup()"):
        raise KeyboardInterrupt
