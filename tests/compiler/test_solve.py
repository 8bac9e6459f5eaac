import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composer.compiler.solve import TooTangled, cheapest

Costs = dict[str, list[float]]
Pairs = dict[tuple[str, str], list[list[float]]]


def total(chosen: dict[str, int], unary: Costs, pairs: Pairs) -> float:
    return sum(costs[chosen[name]] for name, costs in unary.items()) + sum(
        rows[chosen[one]][chosen[other]] for (one, other), rows in pairs.items()
    )


def by_trying(unary: Costs, pairs: Pairs) -> float:
    """The least cost of all choices."""
    names = list(unary)
    every = itertools.product(*(range(len(unary[name])) for name in names))
    return min(total(dict(zip(names, each, strict=True)), unary, pairs) for each in every)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Costs, Pairs]:
    """Up to six variables of up to three values, and any edges between them."""
    cost = st.integers(0, 9).map(float) | st.just(math.inf)
    names = "abcdef"[: draw(st.integers(1, 6))]
    sizes = {name: draw(st.integers(1, 3)) for name in names}
    unary = {
        name: draw(st.lists(cost, min_size=size, max_size=size)) for name, size in sizes.items()
    }
    pairs: Pairs = {}
    for one, other in itertools.combinations(names, 2):
        if draw(st.booleans()):
            row = st.lists(cost, min_size=sizes[other], max_size=sizes[other])
            pairs[one, other] = draw(st.lists(row, min_size=sizes[one], max_size=sizes[one]))
    return unary, pairs


@settings(max_examples=150, deadline=None)
@given(problems())
def test_the_choice_is_as_cheap_as_the_cheapest(problem: tuple[Costs, Pairs]) -> None:
    unary, pairs = problem
    chosen = cheapest(unary, pairs)
    assert chosen.keys() == unary.keys()
    assert all(0 <= index < len(unary[name]) for name, index in chosen.items())
    assert total(chosen, unary, pairs) == by_trying(unary, pairs)


def test_the_first_of_equals_is_chosen() -> None:
    assert cheapest({"a": [1.0, 1.0], "b": [0.0, 0.0]}, {}) == {"a": 0, "b": 0}


def test_nothing_to_choose() -> None:
    assert cheapest({}, {}) == {}


def test_where_all_is_forbidden_there_is_a_choice_still() -> None:
    rows = [[math.inf]]
    assert cheapest({"a": [0.0], "b": [0.0]}, {("a", "b"): rows}) == {"a": 0, "b": 0}


def test_a_long_chain_is_quick_to_decide() -> None:
    names = [f"n{number}" for number in range(300)]
    unary = {name: [0.0] * 6 for name in names}
    unary[names[-1]] = [9.0] * 5 + [0.0]
    rows = [[float(abs(i - j)) for j in range(6)] for i in range(6)]
    pairs = {pair: rows for pair in itertools.pairwise(names)}
    assert set(cheapest(unary, pairs).values()) == {5}


def test_what_is_too_tangled_is_refused() -> None:
    names = [f"n{number}" for number in range(9)]
    unary = {name: [0.0] * 6 for name in names}
    rows = [[0.0] * 6 for _ in range(6)]
    with pytest.raises(TooTangled, match="meets 8 others at once"):
        cheapest(unary, {pair: rows for pair in itertools.combinations(names, 2)})
