"""Parcel: a plan on its way to another process, which has not compiled its file."""

import pickle
import sys
from dataclasses import dataclass
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import Any

from composer import lazy
from composer.compiler import conversions
from composer.compiler.plan import Plan
from composer.node import registry
from composer.node.node import Node


@dataclass(frozen=True)
class Parcel:
    """files: of Python that users wrote, which nodes of the plan are in. data: the plan and what
    was packed with it.
    """

    files: tuple[Path, ...]
    data: bytes

    @classmethod
    def of(cls, plan: Plan, *others: object) -> "Parcel":
        """Raises pickle.PicklingError for a node whose class is in no module."""
        nodes = {type(step.settings) for step in plan.steps.values()}
        files = {file for node in nodes if (file := registry.file_of(node)) is not None}
        written = BytesIO()
        _Packer(written, pickle.HIGHEST_PROTOCOL).dump((plan, *others))
        return cls(tuple(sorted(files)), written.getvalue())

    def opened(self) -> tuple[Any, ...]:
        """What was packed, the plan first. Users' files are read as they are now; nodes that run
        keep their classes. Raises NotFound for one that cannot be loaded.
        """
        registry.forget(registry.followed())
        for file in self.files:
            registry.load(file)
        with lazy.deferred():
            opened: tuple[Any, ...] = pickle.loads(self.data)
        return opened


class _Packer(pickle.Pickler):
    """Packs classes that another process does not find by their modules alone."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, conversions.Conversion):
            return conversions.between, (obj.start, obj.end)
        if not isinstance(obj, type):
            return NotImplemented
        if issubclass(obj, Node) and obj.shaped_of is not None:
            return _shaped, obj.shaped_of
        if registry.is_users(obj.__module__):
            return _found, (obj.__module__, obj.__qualname__)
        return NotImplemented


def _shaped(settings: Node, *around: Any) -> type[Node]:
    """The class that these settings lead to."""
    return type(settings.shaped(*around))


def _found(module: str, name: str) -> Any:
    """What a user's module holds by this name now."""
    return attrgetter(name)(sys.modules[module])
