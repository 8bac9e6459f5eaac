import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import pytest

from composer.models.batch import Batcher, Tally
from tests.stubs import WAIT, reach

Run: TypeAlias = Callable[[Sequence[object]], Sequence[int]]

START = 50.0
LONG = 1000.0
"""A delay that no test waits for: only its clock brings it about."""


made: Final[list[Batcher[object, int]]] = []
"""The batchers of one test."""


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    while made:
        closing = threading.Thread(target=made.pop().close, daemon=True)
        closing.start()
        closing.join(WAIT)
        assert not closing.is_alive(), "a call still waits"


def batcher_of(
    run: Run, most: int, delay: float, now: Callable[[], float] = time.monotonic
) -> Batcher[object, int]:
    made.append(Batcher(run, most, delay, now))
    return made[-1]


class Clock:
    """Seconds that the test moves, and who has asked for them. again: set whenever anybody does."""

    def __init__(self) -> None:
        self.seconds = START
        self.again = threading.Event()
        self._asked: dict[threading.Thread, threading.Event] = defaultdict(threading.Event)

    def __call__(self) -> float:
        self._asked[threading.current_thread()].set()
        self.again.set()
        return self.seconds

    def asked_by(self, thread: threading.Thread) -> threading.Event:
        return self._asked[thread]


class Model:
    """Makes tens of numbers. What is not one is refused, as is everything beside it."""

    def __init__(self) -> None:
        self.calls: list[list[object]] = []
        self.threads: list[threading.Thread] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, items: Sequence[object]) -> Sequence[int]:
        self.calls.append(list(items))
        self.threads.append(threading.current_thread())
        self.began.set()
        reach(self.go)
        return [self._one(each) for each in items]

    def _one(self, item: object) -> int:
        if not isinstance(item, int):
            raise TypeError(f"cannot use {item!r}")
        return item * 10


class Counter:
    """A batcher, its model and its clock; calls are made in threads of their own."""

    def __init__(
        self, most: int = 8, delay: float = LONG, members: int = 1, run: Run | None = None
    ) -> None:
        self.model, self.clock = Model(), Clock()
        self.batcher = batcher_of(run or self.model, most, delay, self.clock)
        for _ in range(members):
            self.batcher.join()

    def call(self, item: object, alike: Hashable = None) -> "Call":
        """A call that waits for its turn, or has been made, when this returns."""
        made = Call(self.batcher, item, alike)
        made.thread.start()
        reach(self.clock.asked_by(made.thread))
        self.nudge()
        return made

    def held(self, item: object) -> "Call":
        """A call that the model works on until self.model.go is set."""
        self.model.go.clear()
        made = self.call(item)
        reach(self.model.began)
        return made

    def nudge(self) -> None:
        """Let everybody who waits look again: a batcher asks for the time while it is locked."""
        self.batcher.join()
        self.batcher.leave()

    @property
    def calls(self) -> list[list[object]]:
        return self.model.calls


class Call:
    def __init__(self, batcher: Batcher[object, int], item: object, alike: Hashable) -> None:
        self._result: int | BaseException | None = None
        self._batcher, self._item, self._alike = batcher, item, alike
        self.thread = threading.Thread(target=self._main, daemon=True)

    def _main(self) -> None:
        try:
            self._result = self._batcher(self._item, self._alike)
        except BaseException as exc:  # noqa: BLE001 - it is raised again in result()
            self._result = exc

    def result(self) -> int | None:
        self.thread.join(WAIT)
        assert not self.thread.is_alive(), "the call did not end"
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


# gathering


def test_a_lone_member_does_not_wait() -> None:
    counter = Counter(members=1)
    assert counter.call(1).result() == 10
    assert counter.calls == [[1]]


def test_nobody_waits_once_all_members_are_there() -> None:
    counter = Counter(members=3)
    calls = [counter.call(number) for number in (1, 2)]
    assert counter.calls == []
    calls.append(counter.call(3))
    assert [each.result() for each in calls] == [10, 20, 30]
    assert counter.calls == [[1, 2, 3]]


def test_a_call_takes_at_most_so_many() -> None:
    counter = Counter(most=2, members=5)
    calls = [counter.call(number) for number in (1, 2, 3, 4)]
    assert [each.result() for each in calls] == [10, 20, 30, 40]
    assert counter.calls == [[1, 2], [3, 4]]


def test_one_at_a_time_waits_for_nobody() -> None:
    counter = Counter(most=1, members=9)
    assert counter.call(1).result() == 10


def test_no_delay_takes_what_is_there() -> None:
    counter = Counter(delay=0, members=9)
    first = counter.held(1)
    rest = [counter.call(number) for number in (2, 3)]
    counter.model.go.set()
    assert [each.result() for each in (first, *rest)] == [10, 20, 30]
    assert counter.calls == [[1], [2, 3]]


def test_the_first_of_a_call_waits_for_others_no_longer_than_the_delay() -> None:
    counter = Counter(members=3)
    calls = [counter.call(1), counter.call(2)]
    for counter.clock.seconds in (START + 1, START + LONG - 0.001):
        counter.clock.again.clear()
        counter.nudge()
        reach(counter.clock.again)  # whoever waits has looked at the time, and waits on
        counter.nudge()
        assert counter.calls == []
    counter.clock.seconds = START + LONG
    counter.nudge()
    assert [each.result() for each in calls] == [10, 20]
    assert counter.calls == [[1, 2]]


def test_a_real_clock_ends_the_wait_too() -> None:
    model = Model()
    batcher = batcher_of(model, most=8, delay=0.01)
    for _ in range(2):
        batcher.join()
    assert batcher(1) == 10


def test_the_delay_goes_by_while_the_model_is_busy() -> None:
    counter = Counter(most=2, members=9)
    first = [counter.call(1), counter.held(2)]
    late = counter.call(3)
    counter.clock.seconds = START + LONG
    counter.model.go.set()
    assert [each.result() for each in (*first, late)] == [10, 20, 30]
    assert counter.calls == [[1, 2], [3]]


def test_a_member_who_leaves_is_not_waited_for() -> None:
    counter = Counter(members=2)
    call = counter.call(1)
    assert counter.calls == []
    counter.batcher.leave()
    assert call.result() == 10


# whose thread it is


def test_who_is_alone_makes_his_calls_himself() -> None:
    counter = Counter(members=1)
    assert [counter.batcher(1), counter.batcher(2)] == [10, 20]
    assert counter.model.threads == [threading.current_thread()] * 2


def test_in_company_one_thread_makes_all_calls_and_ends_with_the_batcher() -> None:
    counter = Counter(most=1, members=2)
    calls = [counter.call(number) for number in (1, 2, 3)]
    assert [each.result() for each in calls] == [10, 20, 30]
    (thread,) = set(counter.model.threads)
    assert thread not in [each.thread for each in calls]
    counter.batcher.close()
    assert not thread.is_alive()


def test_who_joins_during_the_call_of_a_lone_member_waits_for_its_end() -> None:
    counter = Counter(members=1)
    first = counter.held(1)
    counter.batcher.join()
    second = counter.call(2)
    assert counter.calls == [[1]]
    counter.clock.seconds = START + LONG
    counter.model.go.set()
    assert [first.result(), second.result()] == [10, 20]
    assert counter.calls == [[1], [2]]


# who shares a call


def test_what_is_not_alike_goes_in_different_calls() -> None:
    counter = Counter(members=3)
    calls = [counter.call(1, "wide"), counter.call(2, "high"), counter.call(3, "wide")]
    assert [calls[0].result(), calls[2].result()] == [10, 30]
    counter.clock.seconds = START + LONG
    counter.nudge()
    assert calls[1].result() == 20
    assert counter.calls == [[1, 3], [2]]


def test_first_come_first_served() -> None:
    counter = Counter(most=2, members=9)
    first = [counter.call(0), counter.held(0)]
    calls = [
        counter.call(number, alike) for number, alike in ((1, "b"), (2, "a"), (3, "b"), (4, "a"))
    ]
    counter.clock.seconds = START + LONG
    counter.model.go.set()
    assert [each.result() for each in calls] == [10, 20, 30, 40]
    assert [each.result() for each in first] == [0, 0]
    assert counter.calls[-2:] == [[1, 3], [2, 4]]


def test_one_at_a_time_in_the_order_of_the_calls() -> None:
    counter = Counter(most=1, members=4)
    calls = [counter.held(0), *(counter.call(number) for number in (3, 1, 2))]
    counter.model.go.set()
    assert [each.result() for each in calls] == [0, 30, 10, 20]
    assert counter.calls == [[0], [3], [1], [2]]


def test_every_thread_gets_its_own_results_in_its_own_order() -> None:
    model = Model()
    batcher = batcher_of(model, most=3, delay=0.001)

    def work(start: int) -> list[int]:
        batcher.join()
        try:
            return [batcher(number, start % 2) for number in range(start, start + 50)]
        finally:
            batcher.leave()

    with ThreadPoolExecutor(4) as threads:
        starts = (0, 101, 200, 301)
        for start, found in zip(starts, threads.map(work, starts, timeout=WAIT), strict=True):
            assert found == [number * 10 for number in range(start, start + 50)]
    assert max(map(len, model.calls)) <= 3
    assert batcher.tally.items == 200


# failures


def test_one_bad_item_fails_alone() -> None:
    counter = Counter(members=3)
    calls = [counter.call(item) for item in (1, "bad", 3)]
    assert [calls[0].result(), calls[2].result()] == [10, 30]
    with pytest.raises(TypeError, match=r"^cannot use 'bad'$"):
        calls[1].result()
    assert counter.calls == [[1, "bad", 3], [1], ["bad"], [3]]


def test_a_single_item_is_tried_once() -> None:
    counter = Counter()
    with pytest.raises(TypeError, match=r"^cannot use 'bad'$"):
        counter.call("bad").result()
    assert counter.calls == [["bad"]]


def test_what_is_too_much_together_is_done_one_by_one() -> None:
    class Small(Model):
        def __call__(self, items: Sequence[object]) -> Sequence[int]:
            if len(items) > 1:
                raise MemoryError("too much")
            return super().__call__(items)

    counter = Counter(members=2, run=Small())
    calls = [counter.call(1), counter.call(2)]
    assert [each.result() for each in calls] == [10, 20]
    assert counter.batcher.tally == Tally(calls=3, items=4, largest=2)


def test_who_waits_goes_on_when_the_call_before_fails() -> None:
    counter = Counter(most=1, members=2)
    first = counter.held("bad")
    second = counter.call(2)
    counter.model.go.set()
    with pytest.raises(TypeError, match=r"^cannot use 'bad'$"):
        first.result()
    assert second.result() == 20


@pytest.mark.parametrize("given", [[], [10], [10, 20, 30]])
def test_a_wrong_number_of_results_is_nobodys_answer(given: list[int]) -> None:
    counter = Counter(members=2, run=lambda items: given)
    calls = [counter.call(1), counter.call(2)]
    if len(given) == 1:  # right for one alone
        assert [each.result() for each in calls] == [10, 10]
        return
    for each in calls:
        with pytest.raises(ValueError, match=r"^zip\(\) argument 2 is (shorter|longer) than"):
            each.result()


def test_a_thread_that_is_ended_in_a_call_leaves_nobody_waiting() -> None:
    def end(items: Sequence[object]) -> Sequence[int]:
        raise SystemExit(3)

    counter = Counter(members=2, run=end)
    for each in [counter.call(1), counter.call(2)]:
        with pytest.raises(SystemExit):
            each.result()


# the account


def test_the_tally_counts_calls_items_and_the_largest_call() -> None:
    counter = Counter(members=3)
    assert counter.batcher.tally == Tally(0, 0, 0)
    for each in [counter.call(number) for number in (1, 2, 3)]:
        each.result()
    for _ in range(2):
        counter.batcher.leave()
    counter.call(4).result()
    assert counter.batcher.tally == Tally(calls=2, items=4, largest=3)
