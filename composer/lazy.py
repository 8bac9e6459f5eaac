"""Heavy imports that wait until somebody uses them.

`byoc check` reads node classes, and a node module begins with `import numpy` or `import torch`.
Inside `deferred()` such an import gives a module whose code runs at the first access of something
in it; a package that is not installed fails there too, not at the import. So checking a file costs
no NumPy and needs no torch. (importlib's own LazyLoader loads as soon as a second module imports
the same package, so it is not enough.)
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final

HEAVY: Final = frozenset(
    {"av", "numpy", "onnxruntime", "PIL", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont", "torch"}
)

OWN: Final = (
    "composer.command.",
    "composer.dev",
    "composer.device.lanes",
    "composer.device.tensors",
    "composer.engine.",
    "composer.image.",
    "composer.isolation.",
    "composer.logs",
    "composer.media.",
    "composer.models.fetch",
    "composer.models.heads",
    "composer.models.ort",
    "composer.models.tensorfeed",
    "composer.models.torchmodel",
    "composer.pictures.",
    "composer.pipeline.codes",
    "composer.plot.",
    "composer.probe.",
    "composer.remote.inference",
    "composer.server",
    "composer.trickle",
)
"""Modules of our own that most commands do without; deferred with what they import."""


_loading: Final = threading.RLock()
_IMPORT_SYSTEM: Final = frozenset({"__cached__", "__file__", "__path__", "__spec__"})
"""What the import system itself asks of a module while it makes it."""


class _Deferred(ModuleType):
    """A module whose code has not run: the first attribute it does not have yet makes it run."""

    def __getattr__(self, name: str) -> Any:
        if name in _IMPORT_SYSTEM:
            raise AttributeError(name)
        load(self)
        return ModuleType.__getattribute__(self, name)


class _LazyLoader(importlib.abc.Loader):
    """Puts off what the real loader does; None stands for a package that is not installed."""

    def __init__(self, real: importlib.abc.Loader | None) -> None:
        self.real: Final = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""


class _Present(importlib.abc.Loader):
    """Gives a module that is there already: it came along with its package, just now."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._real = module, module.__spec__
        self.spec: Final = importlib.machinery.ModuleSpec(module.__name__, self)
        # The import system takes the spec of a module that is there before the one it is given.
        module.__spec__ = self.spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._real


class _Finder(importlib.abc.MetaPathFinder):
    """Defers while `depth` is not 0; at all times loads a deferred package before its parts."""

    depth = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not self.depth or (name not in HEAVY and not name.startswith(OWN)):
            parent = sys.modules.get(name.rpartition(".")[0])
            # Looked at before the lock is taken: whoever is here holds the import system's lock.
            if type(parent) is _Deferred:
                load(parent)
                # The import system has looked for it before that, and would make a second one.
                if (present := sys.modules.get(name)) is not None:
                    return _Present(present).spec
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None:
            return importlib.machinery.ModuleSpec(name, _LazyLoader(None))
        spec.loader = _LazyLoader(spec.loader)
        return spec


def load(module: ModuleType) -> None:
    """Run the code of a deferred module now; nothing happens to any other module."""
    with _loading:
        spec = module.__spec__
        if (
            type(module) is not _Deferred
            or spec is None
            or not isinstance(spec.loader, _LazyLoader)
        ):
            return
        real = spec.loader.real
        if real is None:
            raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)
        spec.loader = module.__loader__ = real
        real.exec_module(module)
        module.__class__ = ModuleType  # type: ignore[assignment]


_finder: Final = _Finder()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Imports of HEAVY packages made inside wait for their first use."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.depth += 1
    try:
        yield
    finally:
        _finder.depth -= 1
        # An import outside must find out for itself that the package is missing.
        for name in HEAVY & sys.modules.keys():
            if _is_absent(sys.modules[name]):
                del sys.modules[name]


def _is_absent(module: ModuleType) -> bool:
    loader = module.__spec__.loader if module.__spec__ is not None else None
    return isinstance(loader, _LazyLoader) and loader.real is None


def load_used(module: ModuleType) -> None:
    """Load what a module has imported by name: the first use should not be on the frame path."""
    for value in tuple(vars(module).values()):
        if type(value) is _Deferred:
            load(value)
