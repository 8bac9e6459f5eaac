import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from composer.models.pool import Lease, Pool
from tests.stubs import WAIT, reach


@dataclass
class Thing:
    """Something that is loaded, and counts how often it is closed."""

    name: str
    closed: int = 0


@dataclass
class Shelf:
    """Loads things by name and remembers all it has loaded."""

    loaded: list[Thing] = field(default_factory=list)

    def load(self, name: str) -> Callable[[], Thing]:
        def load() -> Thing:
            self.loaded.append(Thing(name))
            return self.loaded[-1]

        return load

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.loaded]

    @property
    def closed(self) -> list[str]:
        """The names of what was closed; one that was closed twice is there twice."""
        return [each.name for each in self.loaded for _ in range(each.closed)]


def close(thing: Thing) -> None:
    thing.closed += 1


def leased(pool: Pool, shelf: Shelf, name: str) -> Lease[Thing]:
    return pool.lease(name, shelf.load(name), close)


def test_the_same_key_is_loaded_once_and_closed_after_its_last_lease() -> None:
    pool, shelf = Pool(), Shelf()
    one, other = (leased(pool, shelf, "a") for _ in range(2))
    assert one.value is other.value
    assert (shelf.names, pool.sizes()) == (["a"], {"a": 2})
    one.close()
    assert (shelf.closed, pool.sizes()) == ([], {"a": 1})
    other.close()
    assert (shelf.closed, pool.sizes()) == (["a"], {})


def test_a_lease_gives_back_once_however_often_it_is_closed() -> None:
    pool, shelf = Pool(), Shelf()
    one, other = (leased(pool, shelf, "a") for _ in range(2))
    one.close()
    one.close()
    assert pool.sizes() == {"a": 1}
    other.close()
    other.close()
    assert shelf.closed == ["a"]


def test_what_was_closed_is_loaded_anew() -> None:
    pool, shelf = Pool(), Shelf()
    leased(pool, shelf, "a").close()
    again = leased(pool, shelf, "a")
    assert (len(shelf.loaded), again.value.closed) == (2, 0)


def test_different_keys_are_different_things() -> None:
    pool, shelf = Pool(), Shelf()
    a, b = leased(pool, shelf, "a"), leased(pool, shelf, "b")
    assert (a.value.name, b.value.name) == ("a", "b")
    a.close()
    assert (shelf.closed, pool.sizes()) == (["a"], {"b": 1})


def test_many_threads_at_once_share_one_load() -> None:
    pool, shelf, start = Pool(), Shelf(), threading.Barrier(8, timeout=WAIT)

    def work(number: int) -> int:
        start.wait()
        lease = leased(pool, shelf, f"key {number % 2}")
        start.wait()  # all hold theirs before the first is given back
        found = id(lease.value)
        lease.close()
        return found

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(work, range(8), timeout=WAIT))
    assert sorted(shelf.names) == ["key 0", "key 1"]
    assert sorted(shelf.closed) == ["key 0", "key 1"]
    assert [len(set(found[start::2])) for start in (0, 1)] == [1, 1]
    assert pool.sizes() == {}


class Slow:
    """A load that takes until the test lets it end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.began, self.end = threading.Event(), threading.Event()
        self._failure = failure

    def __call__(self) -> Thing:
        self.began.set()
        reach(self.end)
        if self._failure is not None:
            raise self._failure
        return Thing("slow")


def never() -> Thing:
    raise AssertionError("it was loaded twice")


def test_others_wait_for_a_load_and_do_not_load_themselves() -> None:
    pool, slow = Pool(), Slow()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(pool.lease, "a", slow)
        reach(slow.began)
        second = threads.submit(pool.lease, "a", never)
        assert pool.sizes() == {}  # nothing is loaded yet
        slow.end.set()
        assert first.result(WAIT).value is second.result(WAIT).value
    assert pool.sizes() == {"a": 2}


def test_a_load_is_waited_for_only_by_those_who_want_the_same() -> None:
    pool, shelf, slow = Pool(), Shelf(), Slow()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(pool.lease, "a", slow)
        reach(slow.began)
        other = leased(pool, shelf, "b")
        other.close()
        assert shelf.closed == ["b"]
        slow.end.set()
        first.result(WAIT)


def test_a_load_that_fails_is_raised_and_the_next_one_tries_again() -> None:
    pool, shelf = Pool(idle=4), Shelf()

    def broken() -> Thing:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match=r"^the disk is gone$"):
        pool.lease("a", broken, close)
    assert pool.sizes() == {}
    assert leased(pool, shelf, "a").value.name == "a"
    assert pool.sizes() == {"a": 1}


def test_what_failed_to_load_leaves_nothing_behind() -> None:
    pool, shelf = Pool(idle=4), Shelf()

    def broken() -> Thing:
        raise OSError("the disk is gone")

    def wrong(thing: Thing) -> None:
        raise AssertionError("this is how the broken one would be closed")

    with pytest.raises(OSError, match=r"^the disk is gone$"):
        pool.lease("a", broken, wrong)
    leased(pool, shelf, "a").close()
    pool.clear()
    assert shelf.closed == ["a"]


def test_who_waited_for_a_load_that_failed_tries_it_himself() -> None:
    pool, shelf, slow = Pool(), Shelf(), Slow(ValueError("no model"))
    with ThreadPoolExecutor(2) as threads:
        first: Future[Lease[Thing]] = threads.submit(pool.lease, "a", slow)
        reach(slow.began)
        second = threads.submit(leased, pool, shelf, "a")
        slow.end.set()
        with pytest.raises(ValueError, match=r"^no model$"):
            first.result(WAIT)
        assert second.result(WAIT).value.name == "a"
    assert pool.sizes() == {"a": 1}


# what is kept


def test_a_pool_keeps_as_many_as_it_was_told_that_nobody_uses() -> None:
    pool, shelf = Pool(idle=2), Shelf()
    for name in "abc":
        leased(pool, shelf, name).close()
    assert (shelf.closed, pool.sizes()) == (["a"], {"b": 0, "c": 0})
    again = leased(pool, shelf, "b")
    assert (shelf.names, pool.sizes()) == (["a", "b", "c"], {"b": 1, "c": 0})
    again.close()


def test_what_is_in_use_does_not_count_as_kept() -> None:
    pool, shelf = Pool(idle=1), Shelf()
    used = [leased(pool, shelf, name) for name in "abc"]
    leased(pool, shelf, "d").close()
    assert (shelf.closed, pool.sizes()) == ([], {"a": 1, "b": 1, "c": 1, "d": 0})
    for each in used:
        each.close()
    assert (sorted(shelf.closed), pool.sizes()) == (["a", "b", "d"], {"c": 0})


def test_the_one_that_was_given_back_last_is_the_one_that_is_kept() -> None:
    pool, shelf = Pool(idle=1), Shelf()
    old, new = leased(pool, shelf, "old"), leased(pool, shelf, "new")
    new.close()
    old.close()
    assert (shelf.closed, pool.sizes()) == (["new"], {"old": 0})


def test_clear_closes_what_nobody_uses_and_nothing_else() -> None:
    pool, shelf = Pool(idle=5), Shelf()
    used = leased(pool, shelf, "used")
    for name in "ab":
        leased(pool, shelf, name).close()
    pool.clear()
    assert (shelf.closed, pool.sizes()) == (["a", "b"], {"used": 1})
    used.close()
    pool.clear()
    assert (shelf.closed, pool.sizes()) == (["used", "a", "b"], {})
    pool.clear()
    assert shelf.closed == ["used", "a", "b"]


def test_idle_may_be_raised_later() -> None:
    pool, shelf = Pool(), Shelf()
    lease = leased(pool, shelf, "a")
    pool.idle = 1
    lease.close()
    assert (shelf.closed, pool.sizes()) == ([], {"a": 0})
