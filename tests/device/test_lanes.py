"""Lanes on the CPU, on CUDA, and on a stand-in for CUDA whose clock the tests turn.

The stand-in says which calls are made and in which order they hold; that CUDA keeps to it is what
the tests marked `cuda` show.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed")

from composer.device import lanes  # noqa: E402 - after the skip
from composer.device.lanes import PASSED, Lane, Mark, Pinned  # noqa: E402


class Event:
    """A torch.cuda.Event that passes when the test says so, or when somebody waits for it."""

    def __init__(self, passed: bool = False, **options: bool) -> None:  # noqa: FBT001, FBT002
        self.done, self.options = passed, options
        self.recorded: list[Any] = []
        self.asked = self.waited = 0

    def record(self, stream: Any) -> None:
        self.recorded.append(stream)
        stream.log.append(("record", self))

    def query(self) -> bool:
        self.asked += 1
        return self.done

    def synchronize(self) -> None:
        self.waited += 1
        self.done = True


class Stream:
    def __init__(self, device: str, number: int = 0) -> None:
        self.device, self.cuda_stream = device, 0x1000 + number
        self.log: list[tuple[str, Any]] = []

    def wait_event(self, event: Event) -> None:
        self.log.append(("wait", event))

    def wait_stream(self, other: "Stream") -> None:
        self.log.append(("after", other))


class Cuda:
    """As much of torch.cuda as lanes use: streams per thread, and what was asked of them."""

    Event = Event

    def __init__(self) -> None:
        self.made: list[Stream] = []
        self.pinned: list[bool] = []
        self.default = Stream("cuda:0", -0x1000)
        self.Stream = self._new
        self._current = threading.local()

    def _new(self, device: str) -> Stream:
        self.made.append(Stream(device, len(self.made)))
        return self.made[-1]

    def current_stream(self, device: str) -> Stream:
        found: Stream = getattr(self._current, "stream", self.default)
        return found

    def default_stream(self, device: str) -> Stream:
        return self.default

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before = self.current_stream(stream.device)
        self._current.stream = stream
        yield
        self._current.stream = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    stand_in = Cuda()

    def empty(size: int, *, dtype: Any, pin_memory: bool) -> Any:
        stand_in.pinned.append(pin_memory)
        return torch.empty(size, dtype=dtype)

    replaced = SimpleNamespace(
        cuda=stand_in, empty=empty, uint8=torch.uint8, inference_mode=torch.inference_mode
    )
    monkeypatch.setattr(lanes, "torch", replaced)
    return stand_in


# a lane


def test_on_a_cpu_nothing_is_waited_for() -> None:
    before = lanes.host_waits
    lane, other = Lane("cpu"), Lane("cpu")
    with lane, other, lane:
        mark = lane.mark()
        other.after(mark, torch.zeros(1))
    assert mark.passed
    assert (lane.pointer, lanes.pointer("cpu")) == (0, 0)
    assert lanes.mark("cpu").passed
    lane.close()
    lane.close()
    assert lanes.host_waits == before


def test_every_wait_of_the_host_is_counted_on_any_device(device: str) -> None:
    lane = Lane(device)
    with lane:
        torch.zeros(8, device=device)
    before = lanes.host_waits
    mark = lane.mark()
    mark.wait()
    mark.wait()
    assert lanes.host_waits == before + 2
    assert mark.passed


def test_waits_of_several_threads_are_all_counted() -> None:
    before = lanes.host_waits

    def wait() -> None:
        for _ in range(500):
            PASSED.wait()

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert lanes.host_waits == before + 2000


def test_a_lane_is_current_inside_and_what_was_before_is_outside(cuda: Cuda) -> None:
    first, second = Lane("cuda:0"), Lane("cuda:0")
    seen = [lanes.pointer("cuda:0")]
    with first:
        seen.append(lanes.pointer("cuda:0"))
        with second, first:
            seen.append(lanes.pointer("cuda:0"))
        with second:
            seen.append(lanes.pointer("cuda:0"))
        seen.append(lanes.pointer("cuda:0"))
    seen.append(lanes.pointer("cuda:0"))
    one, two = first.pointer, second.pointer
    assert seen == [0, one, one, two, one, 0]
    assert len({0, one, two}) == 3


def test_a_lane_is_current_for_one_thread_alone(cuda: Cuda) -> None:
    lane = Lane("cuda:0")
    seen: list[int] = []

    def other() -> None:
        seen.append(lanes.pointer("cuda:0"))
        with lane:
            seen.append(lanes.pointer("cuda:0"))
        seen.append(lanes.pointer("cuda:0"))

    with lane:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert lanes.pointer("cuda:0") == lane.pointer
    assert seen == [0, lane.pointer, 0]


def test_a_mark_belongs_to_its_own_lane_whichever_is_current(cuda: Cuda) -> None:
    first, second = Lane("cuda:0"), Lane("cuda:0")
    with second:
        assert first.mark().event.recorded == [cuda.made[0]]
        assert lanes.mark("cuda:0").event.recorded == [cuda.made[1]]
    assert lanes.mark("cuda:0").event.recorded == [cuda.default]


def test_one_lane_waits_for_another_on_the_device(cuda: Cuda) -> None:
    before = lanes.host_waits
    first, second = Lane("cuda:0"), Lane("cuda:0")
    mark = first.mark()
    read: list[Stream] = []
    second.after(mark, SimpleNamespace(record_stream=read.append))
    assert cuda.made[1].log == [("wait", mark.event)]
    assert cuda.made[0].log == [("record", mark.event)]
    assert read == [cuda.made[1]]  # else its memory could be used anew while it is read
    assert (mark.event.asked, mark.event.waited) == (0, 0)
    assert lanes.host_waits == before


def test_a_tensor_is_reached_from_the_lane_that_a_thread_is_on(cuda: Cuda) -> None:
    first, second = Lane("cuda:0"), Lane("cuda:0")
    read: list[Stream] = []
    tensor = SimpleNamespace(device="cuda:0", record_stream=read.append)
    mark = first.mark()
    with second:
        given: Any = lanes.reach(tensor, mark)
    assert given is tensor
    assert cuda.made[1].log == [("wait", mark.event)]
    assert read == [cuda.made[1]]
    lanes.reach(tensor, PASSED)
    assert cuda.default.log == []


def test_a_thread_that_waits_sleeps(cuda: Cuda) -> None:
    assert Lane("cuda:0").mark().event.options == {"blocking": True}


def test_a_closed_lane_has_done_all_it_was_given(cuda: Cuda) -> None:
    lane = Lane("cuda:0")
    lane.close()
    [(what, event)] = cuda.made[0].log
    assert what == "record"
    assert event.waited == 1


def test_what_a_decoder_writes_is_read_behind_it_and_written_anew_behind_that(cuda: Cuda) -> None:
    lane, order = Lane("cuda:0"), []

    def read() -> str:
        order.append((list(cuda.made[0].log), list(cuda.default.log)))
        return "read"

    with lane:
        given: Any = lanes.with_decoder("cuda:0", read)
    assert given == "read"
    assert order == [([("after", cuda.default)], [])]
    assert cuda.default.log == [("after", cuda.made[0])]


@pytest.mark.cuda
def test_a_lane_reads_what_another_is_still_writing() -> None:
    """The writer is held up for about 50 ms, in which the reader would see zeros."""
    writer, reader = Lane("cuda:0"), Lane("cuda:0")
    for _ in range(5):
        with writer:
            torch.cuda._sleep(100_000_000)
            made = torch.zeros(1 << 20, device="cuda:0").add_(7)
            mark = writer.mark()
        reader.after(mark, made)
        with reader:
            doubled = made * 2
        del made  # the writer may have the memory again, and must not yet
        with writer:
            torch.full((1 << 20,), -1.0, device="cuda:0")
        reader.mark().wait()
        assert doubled.unique().tolist() == [14]


@pytest.mark.cuda
def test_a_lane_has_a_pointer_that_is_not_the_default_one() -> None:
    first, second = Lane("cuda:0"), Lane("cuda:0")
    assert len({0, first.pointer, second.pointer}) == 3
    with first:
        assert lanes.pointer("cuda:0") == first.pointer


# pinned buffers


def test_a_buffer_that_came_back_is_lent_again(device: str) -> None:
    pool = Pinned(device)
    first = pool.borrow(100)
    assert (first.dtype, tuple(first.shape)) == (torch.uint8, (100,))
    assert first.is_pinned() is (device != "cpu")
    pool.give_back(first)
    assert pool.borrow(100) is first
    assert pool.borrow(100) is not first


def test_a_buffer_has_the_size_that_was_asked_for() -> None:
    pool = Pinned("cpu")
    small = pool.borrow(10)
    pool.give_back(small)
    assert len(pool.borrow(11)) == 11
    assert pool.borrow(10) is small


def test_a_buffer_can_be_written_to_wherever_it_was_borrowed() -> None:
    with torch.inference_mode():
        buffer = Pinned("cpu").borrow(10)
    assert buffer.fill_(7).tolist() == [7] * 10


def test_buffers_of_cuda_are_pinned(cuda: Cuda) -> None:
    Pinned("cuda:0").borrow(10)
    Pinned("cpu").borrow(10)
    assert cuda.pinned == [True, False]


def test_a_buffer_the_device_still_uses_is_not_lent() -> None:
    pool, event = Pinned("cpu"), Event()
    first = pool.borrow(10)
    pool.give_back(first, Mark(event))
    other = pool.borrow(10)
    assert other is not first
    event.done = True
    assert pool.borrow(10) is first
    assert event.waited == 0


def test_a_pool_that_is_used_up_waits_for_the_oldest() -> None:
    pool, events = Pinned("cpu", most=3), [Event() for _ in range(3)]
    lent = [pool.borrow(10) for _ in events]
    for buffer, event in zip(lent, events, strict=True):
        pool.give_back(buffer, Mark(event))
    before = lanes.host_waits
    assert pool.borrow(10) is lent[0]
    assert [event.waited for event in events] == [1, 0, 0]
    assert lanes.host_waits == before + 1


def test_a_pool_does_not_wait_for_those_who_hold_its_buffers() -> None:
    pool, before = Pinned("cpu", most=2), lanes.host_waits
    held = [pool.borrow(10) for _ in range(5)]
    assert len({each.data_ptr() for each in held}) == 5
    assert lanes.host_waits == before


def test_a_pool_keeps_no_more_than_it_may_and_lets_the_oldest_go() -> None:
    pool = Pinned("cpu", most=2)
    small, large, larger = (pool.borrow(size) for size in (10, 20, 30))
    for each in (small, large, larger):
        pool.give_back(each)
    assert pool.borrow(30) is larger
    assert pool.borrow(20) is large
    assert pool.borrow(10) is not small


def test_a_device_has_one_pool_for_all() -> None:
    assert lanes.pinned("cpu") is lanes.pinned("cpu")
    assert lanes.pinned("cpu") is not lanes.pinned("meta")
    assert lanes.pinned("cpu").device == "cpu"


def test_a_closed_pool_keeps_nothing() -> None:
    pool = Pinned("cpu")
    first = pool.borrow(10)
    pool.give_back(first)
    pool.close()
    pool.close()
    assert pool.borrow(10) is not first


def test_threads_never_hold_the_same_buffer() -> None:
    pool, twice = Pinned("cpu", most=4), []

    def use(number: int) -> None:
        for _ in range(300):
            buffer = pool.borrow(64)
            buffer.fill_(number)
            if buffer.unique().tolist() != [number]:
                twice.append(number)
            pool.give_back(buffer)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert twice == []
