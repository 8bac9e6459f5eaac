import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from composer.node.registry import Registry
from composer.plot import reference
from tests import stubs


def fits(schema: Any, value: Any, root: dict[str, Any]) -> bool:
    """As much of JSON Schema 2020-12 as the schema of a pipeline file uses."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return fits(root["$defs"][name], value, root)
    types: dict[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema:
        if not isinstance(value, types[schema["type"]]):
            return False
        if isinstance(value, bool) and schema["type"] in ("integer", "number"):
            return False
    tests = [
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        all(fits(each, value, root) for each in schema.get("allOf", [])),
        "anyOf" not in schema or any(fits(each, value, root) for each in schema["anyOf"]),
        "if" not in schema
        or not fits(schema["if"], value, root)
        or fits(schema.get("then", True), value, root),
    ]
    if isinstance(value, str):
        tests.append(re.search(schema.get("pattern", ""), value) is not None)
        tests.append(len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        tests += [
            value >= schema.get("minimum", value),
            value <= schema.get("maximum", value),
            "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"],
            "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"],
        ]
    if isinstance(value, list):
        tests += [fits(schema.get("items", True), each, root) for each in value]
    if isinstance(value, dict):
        named = schema.get("properties", {})
        tests += [key in value for key in schema.get("required", [])]
        tests.append(len(value) >= schema.get("minProperties", 0))
        tests += [fits(named[key], each, root) for key, each in value.items() if key in named]
        more = schema.get("additionalProperties", True)
        tests += [fits(more, each, root) for key, each in value.items() if key not in named]
        tests += [fits(schema.get("propertyNames", True), key, root) for key in value]
    return all(tests)


KNOWN = {
    *("$schema", "$defs", "$ref", "title", "description", "default", "type", "required"),
    *("properties", "additionalProperties", "propertyNames", "minProperties", "anyOf", "allOf"),
    *("if", "then", "const", "enum", "pattern", "items", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "maxLength", "minLength", "minItems", "maxItems", "format", "change"),
    *(
        "file",
        "prefixItems",
        "patternProperties",
        "maxProperties",
        "examples",
        "discriminator",
        "oneOf",
    ),
}


def words(schema: Any) -> set[str]:
    """Every keyword of a schema, those of its parts included."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key in ("additionalProperties", "propertyNames", "items", "if", "then"):
        found |= words(schema.get(key))
    for key in ("anyOf", "allOf", "oneOf"):
        found = found.union(*(words(each) for each in schema.get(key, [])))
    for key in ("properties", "$defs"):
        found = found.union(*(words(each) for each in schema.get(key, {}).values()))
    return found


def accepts(text: str, folder: Path | None = None) -> bool:
    schema = reference.schema(stubs.registry(), folder)
    return fits(schema, yaml.safe_load(text), schema)


GOOD = """\
version: 1
capability: demo
params:
  level: a.level
  both: {to: [a.level, b.level], ramp_ms: 300, min: 0, max: 5}
  one: {to: a.level}
  on: {type: bool, default: true}
nodes:
  s: {type: count, count: 3}
  a: {type: pass, level: 5, every: 2, else: hold_last, in: s}
  b: {type: pass, when: on, queue: 3, on_full: drop_oldest}
  m: {type: mix, in: {base: a, top: b}, within_ms: 20}
  sub: {type: pipeline, file: other.yaml, anything: 3}
  mine: {type: "./mine.py:Mine", x: 1}
  o: {type: collect}
"""


def test_a_good_file_is_accepted() -> None:
    assert accepts(GOOD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("version: 1", "version: 2", id="version"),
        pytest.param("version: 1\n", "", id="no version"),
        pytest.param("capability: demo", "capabilities: demo", id="unknown key"),
        pytest.param("type: collect", "type: colect", id="unknown type"),
        pytest.param("level: 5", "level: 500", id="out of range"),
        pytest.param("level: 5", "levle: 5", id="unknown field"),
        pytest.param("level: 5", "level: much", id="wrong type"),
        pytest.param("every: 2", "every: 0", id="option out of range"),
        pytest.param("hold_last", "hold", id="no such choice"),
        pytest.param("file: other.yaml", "x: 1", id="sub-pipeline without a file"),
        pytest.param("ramp_ms: 300", "ramp: 300", id="unknown key of a param"),
        pytest.param("  s: {type: count", "  1s: {type: count", id="name of a node"),
        pytest.param("{type: collect}", "{}", id="no type"),
    ],
)
def test_a_wrong_file_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    assert not accepts(GOOD.replace(old, new))


def test_the_schema_is_plain_and_uses_known_words() -> None:
    schema = reference.schema(Registry.installed())
    assert json.loads(json.dumps(schema)) == schema
    assert words(schema) <= KNOWN, words(schema) - KNOWN


def test_every_reference_leads_somewhere() -> None:
    schema = reference.schema(Registry.installed())
    found = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema)))
    assert found <= set(schema["$defs"])


def test_the_files_in_pipelines_are_accepted() -> None:
    schema = reference.schema(Registry.installed())
    folder = Path(__file__).parent.parent.parent / "pipelines"
    for path in sorted(folder.glob("*.yaml")):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert fits(schema, found, schema), path.name


MINE = """\
from composer import RGB, Live, Node


class Mine(Node):
    \"\"\"Of my own.\"\"\"

    strength: float = Live(0.5, ge=0, le=1)

    def process(self, image: RGB) -> RGB:
        return image


class Helper:
    pass
"""


def test_own_nodes_are_in_the_schema(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("class Broken(Node):\n  1 / 0\n", encoding="utf-8")
    (tmp_path / "worse.py").write_text("class (\n", encoding="utf-8")
    assert list(reference.own_nodes(stubs.registry(), tmp_path)) == ["./mine.py:Mine"]
    text = 'version: 1\nnodes: {m: {type: "./mine.py:Mine", strength: %s}}'
    assert accepts(text % 0.5, tmp_path)
    assert not accepts(text % 5, tmp_path)


def test_the_page_of_a_node() -> None:
    assert reference.text("tint", stubs.Tint) == (
        "tint - Needs RGB arrays.\n"
        "\n"
        "takes  image: picture (rgb24 array)\n"
        "gives  image: picture (rgb24 array)\n"
        "\n"
        "  strength: number, >= 0, <= 1 = 0.5 (live)\n"
        "      how much\n"
    )


def test_ports_in_a_line() -> None:
    assert reference.ports(stubs.Blur.inputs) == (
        "image: picture (yuv420p, yuv422p, yuv444p); regions: detections"
    )
    assert reference.ports(stubs.Shrink.outputs) == "image: picture (any layout)"
    assert reference.ports(stubs.MixMaybe.inputs).endswith(", optional")
    assert reference.ports(()) == "none"


def test_markdown_has_a_page_for_each_type_and_whole_tables() -> None:
    text = reference.markdown(stubs.registry())
    pages = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert pages == sorted(stubs.STUBS)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table
