"""Wrong tokens: how many a peer may show, and how much is remembered of them."""

import pytest

from composer.server.tries import MOST, PEERS, SECONDS, Tries


class Hand:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def spent(tries: Tries, peer: str) -> Tries:
    """The same, with no try left for a peer."""
    assert [tries.wrong(peer) for _ in range(MOST)] == [0] * MOST
    return tries


def test_a_peer_has_so_many_tries_and_then_waits_for_each_one() -> None:
    now = Hand()
    tries = spent(Tries(now), "10.0.0.1")
    wait = tries.wrong("10.0.0.1")
    assert wait == SECONDS / MOST
    now.at += wait - 0.5
    assert tries.wrong("10.0.0.1") == 1
    now.at += 0.5
    assert tries.wrong("10.0.0.1") == 0
    assert tries.wrong("10.0.0.1") == wait


def test_after_a_while_all_tries_are_back_and_no_more_than_those() -> None:
    now = Hand()
    tries = spent(Tries(now), "10.0.0.1")
    now.at += 100 * SECONDS
    assert spent(tries, "10.0.0.1").wrong("10.0.0.1") > 0


def test_peers_are_counted_apart_and_a_right_token_forgets_what_was_wrong() -> None:
    tries = spent(Tries(Hand()), "10.0.0.1")
    spent(tries, "10.0.0.2")
    tries.right("10.0.0.1")
    assert (tries.wrong("10.0.0.1"), tries.wrong("10.0.0.2")) == (0, SECONDS / MOST)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        pytest.param("10.0.0.1", "::ffff:10.0.0.1", True, id="IPv4 in IPv6"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="one network of IPv6"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="another network"),
        pytest.param("fe80::1%eth0", "fe80::2", True, id="with an interface"),
        pytest.param("", "10.0.0.1", False, id="no address at all"),
    ],
)
def test_who_is_one_peer(first: str, second: str, *, same: bool) -> None:
    assert (spent(Tries(Hand()), first).wrong(second) > 0) is same


def test_only_so_many_peers_are_remembered_and_the_oldest_goes_first() -> None:
    tries = spent(Tries(Hand()), "10.0.0.1")
    for number in range(PEERS - 1):
        tries.wrong(f"10.1.{number // 256}.{number % 256}")
    assert len(tries) == PEERS
    assert tries.wrong("10.0.0.1") > 0
    for number in range(2 * PEERS):
        tries.wrong(f"10.2.{number // 256}.{number % 256}")
    assert len(tries) == PEERS
    assert tries.wrong("10.0.0.1") == 0
