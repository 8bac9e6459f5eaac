"""A source goes on with its frames itself while one thread has time enough for all of the work."""

from composer.engine.handover import BUSY_ABOVE, SPARE_BELOW, WINDOW_SECONDS, Handover


class Work:
    """A clock, and what was worked so far."""

    def __init__(self) -> None:
        self.now = self.own = self.behind = 0.0
        self.handover = Handover(lambda: self.behind, lambda: self.now, lambda: self.own)
        self.handover.look()

    def window(self, *, own: float, behind: float) -> bool:
        """Let a window go by with so much work in it; whether frames are gone on with then."""
        self.now += WINDOW_SECONDS
        self.own += own * WINDOW_SECONDS
        self.behind += behind * WINDOW_SECONDS
        self.handover.look()
        return self.handover.direct


def test_nothing_is_known_before_the_first_window() -> None:
    work = Work()
    work.now = WINDOW_SECONDS / 2
    work.handover.look()
    assert not work.handover.direct


def test_who_has_time_to_spare_goes_on_itself() -> None:
    assert Work().window(own=0.1, behind=0.3)


def test_who_has_none_hands_on() -> None:
    assert not Work().window(own=0.3, behind=0.3)


def test_between_the_two_nothing_changes() -> None:
    between = (SPARE_BELOW + BUSY_ABOVE) / 2
    work = Work()
    assert not work.window(own=0.0, behind=between)
    assert work.window(own=0.0, behind=0.1)
    assert work.window(own=0.0, behind=between)
    assert not work.window(own=0.0, behind=0.9)


def test_what_it_does_for_others_counts_once() -> None:
    work = Work()
    assert work.window(own=0.1, behind=0.3)
    assert work.window(own=0.4, behind=0.3)
