import threading

import pytest

from composer.errors import NodeFailed
from tests import stubs
from tests.engine.sessions import Session, slow


def test_a_node_that_was_loading_when_the_session_ended_is_closed_when_it_can_be() -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    session.end()
    assert node.closed == []
    setup = next(each for each in threading.enumerate() if each.name == "setup slow")
    node.allowed.set()
    setup.join(stubs.WAIT)
    assert node.closed == [2]


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
