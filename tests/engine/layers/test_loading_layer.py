from tests import stubs
from tests.engine.sessions import Session, slow


def test_frames_go_by_a_node_of_a_session_until_it_is_ready() -> None:
    node = slow()
    session = Session(node)
    session.run.start()
    assert session.frame(10) == 10
    assert session.notices.get(timeout=stubs.WAIT) == ("loading", "slow", "")
    node.allowed.set()
    session.until(20)
    assert session.notices.get(timeout=stubs.WAIT) == ("ready", "slow", "")
    report = session.end()
    assert report.nodes["slow"].dropped.total() == 0
    assert node.closed == [2]
