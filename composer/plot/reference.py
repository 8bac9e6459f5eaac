"""What the node classes say of themselves: for `byoc nodes`, docs/nodes.md and editors."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic.fields import FieldInfo

from composer.node.node import Node, Port, change_of
from composer.node.registry import NotFound, Registry
from composer.pipeline.spec import NAME, Isolation, Options, ParamSpec


def summary(cls: type[Node]) -> str:
    """The first line of a node's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def ports(declared: tuple[Port, ...]) -> str:
    """Ports in one line: "image: picture (yuv420p, yuv422p), mask: mask, optional"."""
    return "; ".join(_port(port) for port in declared) or "none"


def _both(cls: type[Node]) -> tuple[str, str]:
    """What a node takes and gives, where that does not depend on its settings."""
    if cls.by_settings:
        return "what its settings and its model say", "what its settings and its model say"
    return ports(cls.inputs), ports(cls.outputs)


def _port(port: Port) -> str:
    layouts = ", ".join(dict.fromkeys(form.layout for form in port.formats if form.layout))
    if len(port.formats) > 5:
        layouts = "any layout"
    carrier = " array" if port.formats[0].carrier == "array" else ""
    inner = f" ({layouts}{carrier})" if layouts else ""
    return f"{port.name}: {port.kind}{inner}{', optional' if port.optional else ''}"


def field_rows(cls: type[Node]) -> Iterator[tuple[str, str, str, str, str]]:
    """(name, type and range, default, how it changes, help) of each field."""
    properties = _fields_schema(cls)["properties"]
    for name, info in cls.model_fields.items():
        yield (
            name,
            _type(properties[name]),
            _default(info),
            change_of(cls, name),
            info.description or "",
        )


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    return {None: "none", "": '""'}.get(value, str(value)) if _hashable(value) else str(value)


def _hashable(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


_BOUNDS: Final = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "maxLength": "at most {} characters",
}


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON Schema as a reader says it: "number, >= 0, <= 1"."""
    if "enum" in schema:
        return " / ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(branch) for branch in schema["anyOf"]))
    words = [str(schema.get("type", "any"))]
    words += [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return ", ".join(words)


def text(name: str, cls: type[Node]) -> str:
    """The page of one node, for a terminal."""
    lines = [f"{name} - {summary(cls)}", ""]
    rest = (inspect.getdoc(cls) or "").partition("\n")[2].strip()
    lines += [rest, ""] if rest else []
    takes, gives = _both(cls)
    lines += [f"takes  {takes}", f"gives  {gives}", ""]
    for field, kind, default, change, help_ in field_rows(cls):
        lines.append(f"  {field}: {kind} = {default} ({change})")
        lines += [f"      {help_}"] if help_ else []
    return "\n".join(lines).rstrip() + "\n"


def markdown(registry: Registry) -> str:
    """docs/nodes.md: every installed node type."""
    parts = [_HEAD, _options()]
    parts += [_page(name, registry.find(name, Path())) for name in registry.names()]
    return "\n".join(parts)


_HEAD: Final = """# Nodes

Made from the code by `make docs`; do not edit. How a field may change is in the last column:
*live* between two frames, *rebuild* builds the node anew between two frames, *fixed* never by a
caller.

A sub-pipeline, `{type: pipeline, file: other.yaml}`, is not a node: its nodes are put in its place
when the file is compiled. Its params are its fields.
"""


def _options() -> str:
    lines = ["## Options of every node", "", "| option | value | what it does |", "|---|---|---|"]
    properties = Options.model_json_schema()["properties"]
    for name, schema in properties.items():
        kind = _type(schema) if "$ref" not in str(schema) else "mapping"
        lines.append(f"| `{name}` | {_cell(kind)} | {_cell(schema.get('description', ''))} |")
    return "\n".join([*lines, ""])


def _page(name: str, cls: type[Node]) -> str:
    lines = [f"## {name}", "", inspect.getdoc(cls) or "", ""]
    takes, gives = _both(cls)
    lines += [f"Takes: {takes}", "", f"Gives: {gives}", ""]
    rows = list(field_rows(cls))
    if rows:
        lines += ["| field | value | default | what it does | changes |", "|---|---|---|---|---|"]
    for field, kind, default, change, help_ in rows:
        lines.append(
            f"| `{field}` | {_cell(kind)} | {_cell(default)} | {_cell(help_)} | {change} |"
        )
    return "\n".join([*lines, ""])


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


# JSON Schema of a pipeline file


def _fields_schema(cls: type[Node]) -> dict[str, Any]:
    return cls.model_json_schema()


def schema(registry: Registry, folder: Path | None = None) -> dict[str, Any]:
    """JSON Schema of a whole pipeline file, the node classes of `folder` included."""
    types = {name: registry.find(name, Path()) for name in registry.names()}
    types |= own_nodes(registry, folder) if folder is not None else {}
    defs: dict[str, Any] = {}
    nodes = _nodes_schema(types, defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "byoc-composer pipeline",
        "type": "object",
        "required": ["version", "nodes"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": 1},
            "capability": {"type": "string", "description": "the name the orchestrator advertises"},
            "description": {"type": "string"},
            "isolation": {
                "enum": list(get_args(Isolation)),
                "description": "where the graph of a session runs: in the worker, or in a process"
                " of its own, whose end is that of its session alone",
            },
            "params": _params_schema(defs),
            "nodes": nodes,
        },
        "$defs": defs,
    }


_NAMES: Final = {"pattern": f"^{NAME.pattern}$"}


def _params_schema(defs: dict[str, Any]) -> dict[str, Any]:
    param = _lifted(ParamSpec.model_json_schema(), defs)
    return {
        "type": "object",
        "propertyNames": _NAMES,
        "description": "what a caller may change while it runs",
        "additionalProperties": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, param]
        },
    }


def _nodes_schema(types: Mapping[str, type[Node]], defs: dict[str, Any]) -> dict[str, Any]:
    """Each type has its own fields, and the options of every node."""
    written = _lifted(Options.model_json_schema(), defs)["properties"]
    defs |= {f"option_{name}": option for name, option in written.items()}
    options = {name: {"$ref": f"#/$defs/option_{name}"} for name in written}
    rules = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": _node(cls, options, defs),
        }
        for name, cls in types.items()
    ]
    rules.append(
        {
            "if": {"properties": {"type": {"const": "pipeline"}}, "required": ["type"]},
            "then": {"properties": {"file": {"type": "string"}}, "required": ["file"]},
        }
    )
    known: list[dict[str, Any]] = [
        {"const": name, "description": summary(cls)} for name, cls in types.items()
    ]
    known.append({"const": "pipeline", "description": "The nodes of another pipeline file."})
    known.append({"pattern": r"^.*\.py:\w+$", "description": "A class in a Python file."})
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": _NAMES,
        "additionalProperties": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string", "anyOf": known}},
            "allOf": rules,
        },
    }


def _node(cls: type[Node], options: Mapping[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    fields = _lifted(_fields_schema(cls), defs)
    return {
        "description": summary(cls),
        "properties": {"type": True, **fields.get("properties", {}), **options},
        "required": fields.get("required", []),
        "additionalProperties": False,
    }


def _lifted(document: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A schema whose own $defs were moved to the root's, where its references look for them."""
    defs.update(document.pop("$defs", {}))
    return document


def own_nodes(registry: Registry, folder: Path) -> dict[str, type[Node]]:
    """The Node classes in the Python files of a folder, by the type that names them in YAML.

    Files that do not load are left out: `byoc check` is where they are told.
    """
    classes: dict[str, type[Node]] = {}
    for path in sorted(folder.glob("*.py")):
        for name in _class_names(path):
            type_ = f"./{path.name}:{name}"
            try:
                classes[type_] = registry.find(type_, folder)
            except NotFound:
                continue
    return classes


def _class_names(path: Path) -> list[str]:
    """Classes of a file that derive from something called Node, without running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    return [
        statement.name
        for statement in tree.body
        if isinstance(statement, ast.ClassDef)
        and any(ast.unparse(base).rpartition(".")[2] == "Node" for base in statement.bases)
    ]
