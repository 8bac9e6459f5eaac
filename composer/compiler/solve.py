"""The cheapest choice: one value per variable, so that unary and pairwise costs sum to the least.

Exact, by variable elimination. Pipelines are nearly trees, so the tables stay small.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Table = dict[tuple[int, ...], float]

MAX_TABLE: Final = 100_000
"""Most entries of one table; beyond it the graph is too tangled to decide exactly."""


class TooTangled(ValueError):
    """The graph joins so many branches that the exact choice would take too long."""


@dataclass(frozen=True)
class _Factor:
    scope: tuple[str, ...]
    table: Table


def cheapest(
    unary: Mapping[str, Sequence[float]],
    pairs: Mapping[tuple[str, str], Sequence[Sequence[float]]],
) -> dict[str, int]:
    """Variable -> index of its chosen value. unary[v][i], pairs[a, b][i][j]: costs.

    An infinite cost forbids; where everything is forbidden the choice is still total, and its
    cost infinite. Raises TooTangled.
    """
    factors = [
        _Factor((name,), {(index,): cost for index, cost in enumerate(costs)})
        for name, costs in unary.items()
    ]
    factors += [
        _Factor(pair, {(i, j): cost for i, row in enumerate(rows) for j, cost in enumerate(row)})
        for pair, rows in pairs.items()
    ]
    steps: list[tuple[str, tuple[str, ...], dict[tuple[int, ...], int]]] = []
    around: dict[str, set[str]] = {name: set() for name in unary}
    for one, other in pairs:
        around[one].add(other)
        around[other].add(one)
    while around:
        name = min(around, key=lambda variable: len(around[variable]))
        touching = [factor for factor in factors if name in factor.scope]
        others = tuple(sorted(around.pop(name)))
        remaining, choice = _eliminate(name, others, touching, unary)
        factors = [factor for factor in factors if name not in factor.scope] + [remaining]
        steps.append((name, others, choice))
        for neighbour in others:
            around[neighbour] = (around[neighbour] | set(others)) - {neighbour, name}
    chosen: dict[str, int] = {}
    for name, others, choice in reversed(steps):
        chosen[name] = choice[tuple(chosen[other] for other in others)]
    return chosen


def _eliminate(
    name: str,
    others: tuple[str, ...],
    touching: Sequence[_Factor],
    unary: Mapping[str, Sequence[float]],
) -> tuple[_Factor, dict[tuple[int, ...], int]]:
    """The best cost, and the value of `name` that reaches it, for each choice of its neighbours."""
    sizes = [range(len(unary[other])) for other in others]
    count = len(unary[name])
    for size in sizes:
        count *= len(size)
    if count > MAX_TABLE:
        raise TooTangled(f"{name} meets {len(others)} others at once")
    table: Table = {}
    choice: dict[tuple[int, ...], int] = {}
    for values in itertools.product(*sizes):
        chosen = dict(zip(others, values, strict=True))
        costs = [
            sum(
                factor.table[tuple(chosen.get(variable, index) for variable in factor.scope)]
                for factor in touching
            )
            for index in range(len(unary[name]))
        ]
        best = min(range(len(costs)), key=costs.__getitem__)
        table[values], choice[values] = costs[best], best
    return _Factor(others, table), choice
