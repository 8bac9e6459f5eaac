"""Heavy imports that wait until somebody uses them.

`byoc check` reads node classes, and a node module begins with `import numpy` or `import torch`.
Inside `deferred()` such an import gives the module object of importlib's LazyLoader, which loads
at the first attribute access; a package that is not installed fails there too, not at the import.
So checking a file costs no NumPy and needs no torch.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Final

HEAVY: Final = frozenset(
    {"av", "numpy", "onnxruntime", "PIL", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont", "torch"}
)

OWN: Final = ("composer.media.", "composer.progress")
"""Modules of our own that import something heavy; deferred with what they import."""


class _Absent(ModuleType):
    """Stands for a package that is not installed."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        said = f"No module named {self.__name__!r} (needed for {name!r})"
        raise ModuleNotFoundError(said, name=self.__name__)


class _AbsentLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: it fails at its first use."""


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in HEAVY and not name.startswith(OWN):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None:
            return importlib.machinery.ModuleSpec(name, _AbsentLoader())
        if spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def _deferred(name: str) -> bool:
    return type(sys.modules.get(name)).__name__ == "_LazyModule"


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Imports of HEAVY packages made inside wait for their first use."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in HEAVY if type(sys.modules.get(name)) is _Absent]:
            del sys.modules[name]


def load_all() -> None:
    """Load every deferred package now: the first use must not happen in two threads at once."""
    for name in sorted(name for name in tuple(sys.modules) if _deferred(name)):
        dir(sys.modules[name])
