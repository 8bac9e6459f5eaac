"""Who may import whom: downwards only, each foreign library behind its fence."""

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PACKAGES = [path.parent for path in (ROOT / "composer").glob("*/__init__.py")]

LAYERS = (
    ("limits", "parsing", "room", "spool"),
    ("errors", "strictjson"),
    ("bucket", "lines", "loglimits", "stacks", "weakly"),
    ("exits", "health", "lazy", "logs", "parser", "threads"),
    ("pipeline", "remote", "trickle"),
    ("node",),
    ("pictures",),
    ("device", "media"),
    ("models", "probe"),
    ("compiler",),
    ("engine", "plot"),
    ("session",),
    ("isolation",),
    ("server",),
    ("dev", "image"),
    ("command",),
)
"""Bottom to top: packages, and the modules that all may use. What is in a layer imports from those
below it; names of one layer do not know each other. A package is one of equals with an order of its
own.
"""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

ANYTHING = {"__init__", "__main__", "testing"}
"""What gathers names for others, and the tools for tests; nothing below imports them."""

FENCES = {
    "yaml": {"pipeline"},
    "av": {"media", "pictures", "probe", "device", "testing"},
    "rich": {"command"},
    "typer": {"command"},
    "PIL": {"media", "pictures", "probe"},
    "watchfiles": {"server"},
    "yarl": {"trickle", "server"},
    "aiohttp": {"trickle", "server", "dev", "testing"},
    "prometheus_client": {"server"},
    "torch": {"models", "device"},
    "onnxruntime": {"models"},
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for each import of a file; `from a import b` is a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hinted = {id(each) for node in ast.walk(tree) for each in _type_checking(node)}
    for node in ast.walk(tree):
        if id(node) in hinted:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def syntax(folder: str, word: str) -> Iterator[tuple[Path, ast.AST]]:
    """All that is written in the files below a folder that have a word in them somewhere."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if word in text:
            yield from ((path, node) for node in ast.walk(ast.parse(text)))


def _type_checking(node: ast.AST) -> Iterator[ast.AST]:
    """What stands below `if TYPE_CHECKING:` and is never imported at run time."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for each in node.body:
            yield from ast.walk(each)


@cache
def engine_imports() -> list[tuple[str, str, str]]:
    """(place, importing module, imported name) for everything below composer/."""
    found = []
    for path in sorted((ROOT / "composer").rglob("*.py")):
        below = path.relative_to(ROOT / "composer")
        for line, name in imports(path):
            found.append((f"{below}:{line}", below.parts[0].removesuffix(".py"), name))
    return found


def inner(name: str) -> str:
    """The module of ours that an imported name lies in, "" for anybody else's."""
    top, _, rest = name.partition(".")
    if top != "composer":
        return ""
    found = rest.split(".")[0]
    return found if (ROOT / "composer" / found).is_dir() or _is_module(found) else "__init__"


def _is_module(name: str) -> bool:
    return (ROOT / "composer" / f"{name}.py").is_file()


def test_every_module_has_a_rank() -> None:
    found = {path.stem for path in (ROOT / "composer").glob("*.py")}
    found |= {path.parent.name for path in (ROOT / "composer").glob("*/__init__.py")}
    assert found - ANYTHING == set(RANK)


def test_the_picture_of_the_layers_is_current() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.split("```")[1].strip().splitlines()
    shown = [sorted(set(row.split()) & set(RANK)) for row in reversed(rows)]
    assert shown == [sorted(names) for names in LAYERS]


def test_the_engine_imports_no_node() -> None:
    assert [at for at, _, name in engine_imports() if name.split(".")[0] == "nodes"] == []


def test_modules_import_downwards() -> None:
    bad = [
        f"{at} imports {name}"
        for at, here, name in engine_imports()
        if here not in ANYTHING
        and (there := inner(name))
        and there != here
        and RANK.get(there, len(RANK)) >= RANK[here]
    ]
    assert bad == []


@pytest.mark.parametrize("package", sorted(path.name for path in PACKAGES))
def test_the_modules_of_a_package_import_in_one_direction(package: str) -> None:
    """No ring between them: each can be read after those it imports."""
    folder = ROOT / "composer" / package
    modules = {_dotted(path): path for path in folder.rglob("*.py") if path.stem != "__init__"}
    needs = {
        name: {other for _, imported in imports(path) if (other := _longest(imported, modules))}
        for name, path in modules.items()
    }
    while ready := [name for name, others in needs.items() if not (others - {name}) & needs.keys()]:
        for name in ready:
            del needs[name]
    assert needs == {}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _longest(name: str, modules: Collection[str]) -> str:
    """The module that an imported name is or lies in, "" for one of another package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("library", FENCES)
def test_each_library_stays_behind_its_fence(library: str) -> None:
    bad = [
        f"{at} imports {name}"
        for at, here, name in engine_imports()
        if name.split(".")[0] == library and here not in FENCES[library]
    ]
    assert bad == []


def test_no_node_is_found_by_the_name_of_its_type() -> None:
    """What reads the input or writes the output is known by its role: it may be a user's own."""
    types = {path.stem for path in (ROOT / "nodes").glob("*.py")}
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path, node in syntax("composer", "type")
        if isinstance(node, ast.Compare) and "type" in ast.unparse(node.left)
        for other in ast.walk(node)
        if isinstance(other, ast.Constant) and other.value in types
    ]
    assert bad == []


def test_nodes_do_not_know_each_other() -> None:
    bad = [
        f"{path.name}:{line} imports {name}"
        for path in sorted((ROOT / "nodes").rglob("*.py"))
        for line, name in imports(path)
        if name.split(".")[0] == "nodes"
    ]
    assert bad == []


def test_nodes_use_nothing_that_a_user_could_not() -> None:
    open_to_all = {"__init__", "node", "pictures", "media", "device", "models", "remote"}
    open_to_all |= {"errors", "strictjson"}
    bad = [
        f"{path.name}:{line} imports {name}"
        for path in sorted((ROOT / "nodes").rglob("*.py"))
        for line, name in imports(path)
        if (there := inner(name)) and there not in open_to_all
    ]
    assert bad == []


CLASS = re.compile(r" *class _*(?P<name>\w+)[(:]")


def test_a_name_of_a_class_stands_for_one_thing() -> None:
    """An underscore in front does not make it another name."""
    places: dict[str, list[str]] = {}
    for folder in ("composer", "nodes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, 1):
                if found := CLASS.match(line):
                    place = f"{path.relative_to(ROOT)}:{number}"
                    places.setdefault(found["name"], []).append(place)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}


def test_json_is_written_in_one_place() -> None:
    """Elsewhere NaN and the like would get out."""
    bad = []
    for folder in ("composer", "nodes"):
        for path, node in syntax(folder, "json"):
            if not isinstance(node, ast.Attribute) or path.name == "strictjson.py":
                continue
            if node.attr in ("dumps", "dump", "model_dump_json"):
                named = ast.unparse(node)
                if named in ("json.dumps", "json.dump") or node.attr == "model_dump_json":
                    bad.append(f"{path.relative_to(ROOT)}:{node.lineno} {named}")
    assert bad == []


def test_answers_of_json_name_the_writer() -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in syntax("composer", "json_response")
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("json_response")
        if "strictjson.text" not in [ast.unparse(each.value) for each in node.keywords]
    ]
    assert bad == []
