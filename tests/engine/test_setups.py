import threading
from collections.abc import Iterator
from typing import Any

import pytest

from composer import YUV, Context, OwnYUV
from composer.errors import NodeFailed
from composer.pictures import pixels
from tests import stubs
from tests.engine.sessions import Session, slow
from tests.stubs import luma, reach


@pytest.mark.parametrize("end", ["end", "stop", "abort"])
def test_a_node_that_was_loading_when_the_session_ended_is_closed_when_it_can_be(end: str) -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    if end != "end":
        getattr(session.run, end)()
    session.end()
    assert node.closed == []
    setup = next(each for each in threading.enumerate() if each.name == "setup slow")
    node.allowed.set()
    setup.join(stubs.WAIT)
    assert node.closed == [2]


def test_a_node_that_was_loading_when_the_session_ended_is_not_asked_for_what_it_held() -> None:
    asked: list[str] = []

    class Keeping(slow()):  # type: ignore[misc]  # a class of its own for each test
        def process(self, image: YUV) -> Iterator[OwnYUV]:
            yield pixels.copy(image)

        def flush(self) -> Iterator[Any]:
            asked.append("flush")
            return iter(())

    session = Session(Keeping)
    session.run.start()
    session.feed.put(10)
    session.end()
    setup = next(thread for thread in threading.enumerate() if thread.name == "setup slow")
    Keeping.allowed.set()
    setup.join(stubs.WAIT)
    assert asked == []


@pytest.mark.parametrize("options", ["", ", concurrency: 2"])
def test_a_node_whose_setup_failed_late_is_never_worked_with(options: str) -> None:
    asked: list[int] = []

    class Failing(slow()):  # type: ignore[misc]  # a class of its own for each test
        stateless = True

        def process(self, image: YUV) -> OwnYUV:
            asked.append(luma(image))
            return pixels.copy(image)

    Failing.fails.add(2)
    session = Session(Failing, options)
    session.run.start()
    assert session.frame(10) == 10
    Failing.allowed.set()
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed, match="no memory left"):
        session.run.wait()
    assert asked == []


def test_a_node_that_wants_to_leave_the_process_while_it_is_set_up_has_failed() -> None:
    class Leaving(slow()):  # type: ignore[misc]  # a class of its own for each test
        def setup(self, ctx: Context) -> None:
            reach(self.allowed)
            raise SystemExit(3)

    session = Session(Leaving)
    session.run.start()
    assert session.frame(10) == 10
    Leaving.allowed.set()
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed, match=r"'slow' failed in setup\(\): SystemExit: 3"):
        session.run.wait()


def test_a_setup_that_fails_late_ends_the_session() -> None:
    node = slow()
    node.fails.add(2)
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    node.allowed.set()
    while not session.run.done.wait(0.001):
        session.feed.put(10)
    with pytest.raises(NodeFailed, match="no memory left"):
        session.run.wait()
