"""Effective: what the params are worth in the nodes that run."""

from collections.abc import Collection, Mapping
from typing import Any

from composer.compiler.params import Param
from composer.compiler.plan import Plan
from composer.node.node import change_of


class Effective:
    """Follows the params that a node takes over only when it is built anew. Until then, and where
    that fails, the old value is what runs. The others hold from the frame at which they are set.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, frozenset[str]] = {}
        self._held: dict[str, Any] = {}
        self._refused: set[str] = set()

    @property
    def refused(self) -> frozenset[str]:
        """The params whose newest values no node took over."""
        return frozenset(self._refused)

    def planned(
        self, plan: Plan, values: Mapping[str, Any], built: Collection[str] | None = None
    ) -> None:
        """A plan holds from now on. built: the nodes that were set up for it, None for all."""
        before, self._held = self._held, {}
        self._nodes = {name: nodes for name, param in plan.params.items() if (nodes := _of(param))}
        for name, nodes in self._nodes.items():
            if name not in values:
                continue
            kept = built is not None and nodes.isdisjoint(built) and name in before
            self._held[name] = before[name] if kept else values[name]
        self._refused &= {name for name in self._held if self._held[name] == before.get(name)}

    def asked(self, names: Collection[str]) -> None:
        """A caller has set these."""
        self._refused.difference_update(names)

    def ready(self, node: str, values: Mapping[str, Any]) -> None:
        """A node was built anew for what its params are worth now."""
        for name in self._held:
            if node in self._nodes[name]:
                self._held[name] = values[name]

    def kept(self, node: str) -> None:
        """A node could not be built anew and goes on as it was."""
        self._refused |= {name for name in self._held if node in self._nodes[name]}

    def now(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, as far as they are those that nodes work with."""
        return {**values, **self._held}

    def targets(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, but for those that were refused: they will not hold."""
        return {**values, **{name: self._held[name] for name in self._refused}}

    def waits(self, values: Mapping[str, Any]) -> bool:
        """Whether a node has to be built anew before all of these hold."""
        return any(name in self._held and self._held[name] != values[name] for name in values)


def _of(param: Param) -> frozenset[str]:
    """The nodes that a param has built anew. A source never is."""
    if "/" in param.name:
        return frozenset()
    return frozenset(
        target.node
        for target in param.targets
        if target.cls.inputs and change_of(target.cls, target.field) == "rebuild"
    )
