"""Type name -> Node class: built-in nodes, installed packs and files beside the pipeline.

The entry-point group `byoc.nodes` names packages. Each module of such a package is one node type,
called like the module, and holds one Node class; the built-in nodes are found in just this way. An
entry point may also name a class, which is then the type of the entry point's name.
"""

import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import pkgutil
import re
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from composer import lazy
from composer.node.node import Declared, Node, type_name
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import OPTIONS, shown

GROUP: Final = "byoc.nodes"
_FILE: Final = re.compile(r"(?P<file>.*\.py):(?P<name>\w+)")


class NotFound(Exception):
    """A type that leads to no usable class. `hint` is one suggestion; `code` the Problem's."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code: Final = code
        self.hint: Final = hint


@dataclass(frozen=True)
class Registry:
    """The installed node types. Classes are loaded when they are asked for, and only those."""

    entries: Mapping[str, EntryPoint] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> "Registry":
        """Every type that an installed package offers. Imports packages, no node module."""
        entries: dict[str, EntryPoint] = {}
        for entry in entry_points(group=GROUP):
            for name, target in _types(entry):
                if name in entries and entries[name].value != target.value:
                    message = (
                        f"node type {name!r} is offered by {entries[name].value} and {target.value}"
                    )
                    raise NotFound("two-types", message)
                entries[name] = target
        return cls(entries)

    def names(self) -> list[str]:
        return sorted(self.entries)

    def find(self, type_: str, folder: Path) -> type[Node]:
        """The class of a type name, or of `./file.py:Class` below `folder`. Raises NotFound."""
        if match := _FILE.fullmatch(type_):
            where = f"{match['file']}:{match['name']}"
            return _checked(_as_node(load_class(folder, type_), where), type_)
        if type_ not in self.entries:
            hint = did_you_mean(type_, self.entries)
            if ":" in type_ or type_.endswith(".py"):
                hint = "a class in a file is written ./file.py:Class"
            raise NotFound("unknown-node", f"no node type {shown(type_)}", hint)
        with lazy.deferred():
            return _checked(_load(type_, self.entries[type_]), type_)


def _types(entry: EntryPoint) -> Iterator[tuple[str, EntryPoint]]:
    if ":" in entry.value:
        yield entry.name, entry
        return
    package = _package(entry.value)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            yield module.name, EntryPoint(module.name, f"{package.__name__}.{module.name}", GROUP)


def _package(name: str) -> ModuleType:
    """A package of nodes. Ours is found even where a user's nodes.py has its name, which is not
    loaded for that.
    """
    visible = importlib.util.find_spec(name)
    if visible is None or visible.submodule_search_locations is not None:
        return importlib.import_module(name)
    place = Path(__file__).parent.parent.parent / name / "__init__.py"
    if not place.is_file():
        raise NotFound("bad-node", f"the package {name} is hidden by {visible.origin}")
    alias = f"_byoc_{name}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            alias, place, submodule_search_locations=[str(place.parent)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return sys.modules[alias]


def _load(type_: str, entry: EntryPoint) -> type[Node]:
    try:
        loaded = entry.load()
    except Exception as exc:  # a pack may raise anything; it becomes a Problem
        why = str(exc) if isinstance(exc, Declared) else f"{type(exc).__name__}: {exc}"
        raise NotFound("bad-node", f"node type {type_!r} ({entry.value}): {why}") from exc
    if not isinstance(loaded, ModuleType):
        return _as_node(loaded, entry.value)
    for value in vars(loaded).values():
        if _is_node(value) and type_name(value) == type_:
            return _as_node(value, entry.value)
    raise NotFound("bad-node", f"module {entry.value} holds no Node class for type {type_!r}")


def _is_node(value: Any) -> bool:
    # isinstance() would ask a deferred module for its class, and so load it.
    return issubclass(type(value), type) and issubclass(value, Node) and value is not Node


def _as_node(value: object, where: str) -> type[Node]:
    if isinstance(value, type) and issubclass(value, Node):
        return value
    raise NotFound("bad-node", f"{where} is not a Node class")


def locate(folder: Path, file: str) -> Path:
    """Where a file named in a pipeline is: below the pipeline's folder. Raises NotFound."""
    path = folder / file
    try:
        whole = path.resolve()
        if Path(file).is_absolute() or not whole.is_relative_to(folder.resolve()):
            hint = "put the file beside the pipeline and write its path from there"
            raise NotFound("bad-path", f"{shown(file)} is outside the pipeline's folder", hint)
        if whole.is_dir():
            raise NotFound("missing-file", f"{shown(file)} is a folder, not a file")
        if whole.is_file():
            return whole
        beside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    except (OSError, RuntimeError):  # no such folder, a name too long, links in a ring
        beside = []
    raise NotFound(
        "missing-file", f"there is no file {shown(file)}", did_you_mean(path.name, beside)
    )


def names_class(text: str) -> bool:
    """Whether a setting is written as ./file.py:Class."""
    return _FILE.fullmatch(text) is not None


def load_class(folder: Path, text: str) -> Any:
    """What `./file.py:Class` names in a file below `folder`. Raises NotFound."""
    match = _FILE.fullmatch(text)
    if match is None:
        raise NotFound("bad-value", f"{shown(text)} is not written as ./file.py:Class")
    file, name = match["file"], match["name"]
    module = _module(locate(folder, file), file)
    if name not in vars(module):
        known = [key for key, value in vars(module).items() if _is_node(value)]
        raise NotFound("unknown-node", f"{file} has no class {name!r}", did_you_mean(name, known))
    return vars(module)[name]


def files_of(path: Path) -> frozenset[Path]:
    """A Python file, and those of its folder that it imports by name, and they."""
    path = path.resolve()
    files: set[Path] = set()
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here in files or not here.is_file():
            continue
        files.add(here)
        waiting += [_beside(path.parent, name) for name in _imported(here)]
        if here.name == "__init__.py":
            waiting += here.parent.rglob("*.py")
    return frozenset(files)


def _beside(folder: Path, name: str) -> Path:
    """Where `import name` is looked for in a folder."""
    module = folder / f"{name}.py"
    return module if module.is_file() else folder / name / "__init__.py"


def _imported(path: Path) -> set[str]:
    """The first names of what a file imports; none where it cannot be read as Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    return {name.partition(".")[0] for name, _ in imports(ast.walk(tree))}


def imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Dotted name and line of what each import among some nodes of syntax asks for, but for
    relative ones; `from a import b` is a.b.
    """
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def followed() -> frozenset[Path]:
    """The users' Python files that are loaded."""
    modules = [sys.modules.get(name) for name in _OURS]
    modules += [module for hidden in _HIDDEN.values() for module in hidden.values()]
    files = (getattr(module, "__file__", None) for module in modules)
    return frozenset(Path(file).resolve() for file in files if file)


def forget(touched: Collection[Path]) -> None:
    """Let go of the modules of users' files that have changed, or import one that has: the next
    find() loads them anew. Nodes that run keep their old classes.
    """
    for name in [name for name in _OURS if _imports(sys.modules.get(name), touched)]:
        del sys.modules[name], _OURS[name]
    for hidden in _HIDDEN.values():
        for name in [name for name, module in hidden.items() if _imports(module, touched)]:
            del hidden[name]


def _imports(module: ModuleType | None, touched: Collection[Path]) -> bool:
    """Whether a module is one of these files, or imports one of them."""
    file = getattr(module, "__file__", None)
    return file is not None and not files_of(Path(file)).isdisjoint(touched)


_OURS: Final[dict[str, Path]] = {}
"""Names in sys.modules of users' files, and of what they have imported from their own folder, with
that folder.
"""

_HIDDEN: Final[dict[Path, dict[str, ModuleType]]] = {}
"""By folder, modules whose names in sys.modules are another folder's."""

_FILES: Final[dict[str, Path | None]] = {}
"""Every name that was ever in _OURS, and the file that a pipeline named for it."""


def is_users(module: str) -> bool:
    """Whether a module of this name is or was a user's file."""
    return module in _FILES


def file_of(cls: type) -> Path | None:
    """The user's file that a class is written in, where a pipeline has named it."""
    return _FILES.get(cls.__module__)


def load(file: Path) -> None:
    """Load a user's file, as a pipeline that names a class in it does. Raises NotFound."""
    _module(file, file.name)


class _Fresh(importlib.machinery.SourceFileLoader):
    """Reads a file as it is now: a cached .pyc may be older than it looks, within a second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Beside(importlib.abc.MetaPathFinder):
    """Finds what a user's file imports from its own folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        folder = self._folder if path is None else Path(next(iter(path), ""))
        if fullname in lazy.HEAVY or not folder.is_relative_to(self._folder):
            return None
        loader = (_Fresh, importlib.machinery.SOURCE_SUFFIXES)
        spec = importlib.machinery.FileFinder(str(folder), loader).find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        _OURS[fullname] = self._folder
        _FILES.setdefault(fullname, None)
        return spec


def _module(path: Path, file: str) -> ModuleType:
    """The module of a user's file, under a private name of its own, loaded once per process."""
    name = f"_byoc_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_Fresh(name, str(path)))
    if spec is None or spec.loader is None:
        raise NotFound("bad-node", f"{file} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _OURS[name] = path.parent
    _FILES[name] = path
    linecache.checkcache(str(path))
    # What a module needs from its own folder it may import by name, as a script does.
    beside = _Beside(path.parent)
    sys.path.insert(0, str(path.parent))
    sys.meta_path.insert(0, beside)
    try:
        with lazy.deferred(), _own_names(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as exc:  # a user's file may raise anything: a Problem
        del sys.modules[name]
        raise NotFound("bad-node", _blamed(exc, path, file)) from exc
    finally:
        sys.path.remove(str(path.parent))
        sys.meta_path.remove(beside)
    return module


@contextmanager
def _own_names(folder: Path) -> Iterator[None]:
    """While a file of a folder is loaded, a name that it imports is that folder's: others may have
    a module of the same name.
    """
    homes = {name: home for name, home in _OURS.items() if home != folder and _FILES[name] is None}
    others = {name: sys.modules.pop(name) for name in homes if name in sys.modules}
    own = _HIDDEN.pop(folder, {})
    sys.modules.update(own)
    _OURS.update(dict.fromkeys(own, folder))
    try:
        yield
    finally:
        for name, module in others.items():
            if name in sys.modules:
                _HIDDEN.setdefault(homes[name], {})[name] = module
            else:
                sys.modules[name], _OURS[name] = module, homes[name]


def _blamed(exc: BaseException, path: Path, file: str) -> str:
    """One sentence with the line of the user's file that is to blame."""
    if isinstance(exc, SyntaxError) and exc.filename == str(path):
        return f"{file}:{exc.lineno}: {exc.msg}"
    frames = [
        frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)
    ]
    line = f":{frames[-1].lineno}" if frames else ""
    why = str(exc) if isinstance(exc, Declared) else f"{type(exc).__name__}: {exc}"
    return f"{file}{line}: {why}"


def _checked(cls: type[Node], type_: str) -> type[Node]:
    if cls.process is Node.process:
        raise NotFound("bad-node", f"node type {type_!r} has no process()")
    shadowed = sorted(OPTIONS & set(cls.model_fields) | {"type"} & set(cls.model_fields))
    if shadowed:
        message = f"node type {type_!r}: field {shadowed[0]!r} has the name of an option"
        raise NotFound("bad-node", message, "call it something else")
    return cls
