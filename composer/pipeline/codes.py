"""The codes of Problems: what each means, and one example. For `byoc problems` and its page."""

from typing import Final, NamedTuple

from composer.pipeline.hints import did_you_mean


class Code(NamedTuple):
    """What a code means, and what a reader sees of one such Problem."""

    meaning: str
    example: tuple[str, ...]


def _code(meaning: str, *example: str) -> Code:
    return Code(meaning, example)


FILES: Final = {
    "alias": _code(
        "An anchor, an alias or a merge key. They are not read; write the value out.",
        "p.yaml:4:9: alias: '*tint' is an alias, and aliases are not allowed",
        "    tint: *tint",
        "          ^^^^^ write the value out, or put the text in quotes",
    ),
    "bad-env": _code(
        "A `${env:...}` that cannot be filled in.",
        "p.yaml:4:41: bad-env: the environment has no CHANNEL",
        '    tint: {type: ./stubs.py:Tint, title: "${env:CHANNEL}"}',
        "                                          ^^^^^^^^^^^^^^ set it, or write"
        " ${env:CHANNEL:-default}",
    ),
    "bad-key": _code(
        "A key that is no plain word.",
        "p.yaml:4:3: bad-key: a key must be a word, not a list or a mapping",
        "    [tint]: {type: ./stubs.py:Tint}",
        "    ^",
    ),
    "bad-name": _code(
        "A name that no node and no param may have.",
        "p.yaml:4:3: bad-name: 'first tint' cannot name a node: use letters, digits, '_' and"
        " '-', a letter first",
        "    first tint: {type: ./stubs.py:Tint}",
        "    ^^^^^^^^^^",
    ),
    "bad-node": _code(
        "A node class cannot be used: its file does not load, or the class does not say its ports.",
        "p.yaml:4:17: bad-node: ./broken/syntax.py:5: expected ':'",
        "    sepia: {type: ./broken/syntax.py:Sepia}",
        "                  ^^^^^^^^^^^^^^^^^^^^^^^^",
    ),
    "bad-number": _code(
        "A number that is written in a way that programs read differently.",
        "p.yaml:4:40: bad-number: '010' starts with 0, which some programs read as octal",
        "    tint: {type: ./stubs.py:Tint, steps: 010}",
        "                                         ^^^ put it in quotes to keep it as text",
    ),
    "bad-option": _code(
        "An option that has no effect on this node, or that this node cannot have.",
        "p.yaml:4:33: bad-option: nodes.tint.else: without when, every or rate the node runs"
        " on every frame",
        "    tint: {type: ./stubs.py:Tint, else: drop}",
        "                                  ^^^^",
    ),
    "bad-path": _code(
        "A path that leads out of the folder of the pipeline, or an address where only files"
        " are read.",
        "p.yaml:4:32: bad-path: nodes.soft.file: '../soft.yaml' is outside the pipeline's folder",
        "    soft: {type: pipeline, file: ../soft.yaml}",
        "                                 ^^^^^^^^^^^^ put the file beside the pipeline and"
        " write its path from there",
    ),
    "bad-value": _code(
        "A value that does not fit: another type, out of range, or none of the choices.",
        "p.yaml:4:30: bad-value: nodes.soft.radius should be less than or equal to 100, got 640",
        "    soft: {type: blur, radius: 640}",
        "                               ^^^",
    ),
    "bad-version": _code(
        "`version:` is not 1.",
        "p.yaml:1:10: bad-version: version should be 1, got 2",
        "  version: 2",
        "           ^",
    ),
    "bad-weights": _code(
        "A file of weights that may not be used: no digest, another digest, or not a model.",
        "p.yaml:4:29: bad-weights: nodes.find.model: 'http://example.com/models/still.onnx'"
        " would not be encrypted",
        "    find: {type: onnx, model: http://example.com/models/still.onnx, post: image}",
        "                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write https://",
    ),
    "cannot-run": _code(
        "A file that was saved is right, but a node of it cannot be set up; what ran goes on.",
        "p.yaml:4:3: cannot-run: node 'tint' failed in setup(): RuntimeError: no such table",
        "    tint: {type: ./nodes.py:Tint}",
        "    ^^^^",
    ),
    "cycle": _code(
        "Nodes that feed each other in a ring, or files that include each other.",
        "p.yaml:4:36: cycle: the nodes feed each other in a ring: one -> other -> one",
        "    one: {type: ./stubs.py:Tint, in: other}",
        "                                     ^^^^^",
    ),
    "duplicate-key": _code(
        "A key that stands twice in one mapping.",
        "p.yaml:5:3: duplicate-key: 'tint' is also on line 4",
        "    tint: {type: ./stubs.py:Tint, amount: 0.1}",
        "    ^^^^",
    ),
    "encoding": _code(
        "A file that is not UTF-8, or a character that cannot stand in YAML.",
        "p.yaml:4:41: encoding: the character U+0000 cannot stand in YAML text",
        "    tint: {type: ./stubs.py:Tint, title: a\\x00b}",
        "                                          ^^^^ is this a text file?",
    ),
    "fixed-field": _code(
        "A param that leads to a field that no caller may change.",
        "p.yaml:3:9: fixed-field: params.logo: logo.path is fixed; no param may set it",
        "    logo: logo.path",
        "          ^^^^^^^^^",
    ),
    "many-documents": _code(
        "More than one YAML document in a file.",
        "p.yaml:5:1: many-documents: a second document starts here",
        "  ---",
        "  ^^^ a file holds one pipeline; remove the '---' or make two files",
    ),
    "missing-field": _code(
        "Something that must be there is not.",
        "p.yaml:4:3: missing-field: nodes.logo.path is required",
        "    logo: {type: overlay_image, x: right-24}",
        "    ^^^^",
    ),
    "missing-file": _code(
        "A file that is named and is not there.",
        "p.yaml:3:32: missing-file: nodes.source.path: there is no file 'holiday.mp4'",
        "    source: {type: decode, path: holiday.mp4}",
        "                                 ^^^^^^^^^^^",
    ),
    "missing-input": _code(
        "A node has nothing to take for one of its inputs.",
        "p.yaml:4:3: missing-input: nodes.hidden has nothing for its input 'regions' (detections)",
        "    hidden: {type: blur_regions, strength: 0.8}",
        "    ^^^^^^ write `in: {image: a_node, regions: a_node}`",
    ),
    "no-sink": _code(
        "Nothing takes what the pipeline makes: it has no `encode` or other end.",
        "p.yaml:2:1: no-sink: the pipeline has no end: nothing takes what comes out",
        "  nodes:",
        "  ^^^^^ end it with `out: {type: encode}`",
    ),
    "not-a-mapping": _code(
        "The file is empty, or is not a mapping.",
        "p.yaml:1:1: not-a-mapping: the file should be a mapping of keys to values, but it"
        " is a list",
        "  - version: 1",
        "  ^ a pipeline starts with 'version: 1' and has 'nodes:'",
    ),
    "not-fetched": _code(
        "Weights that are not on this machine yet; `byoc fetch` brings them.",
        "p.yaml:7:12: not-fetched: nodes.m.model: m.onnx ('https://models.test/m.onnx')"
        " is not on this machine",
        "      model: https://models.test/m.onnx",
        "             ^^^^^^^^^^^^^^^^^^^^^^^^^^ fetch it first: byoc fetch p.yaml",
    ),
    "tag": _code(
        "A YAML tag (`!something`). Tags are not read.",
        "p.yaml:4:40: tag: tags are not allowed",
        "    tint: {type: ./stubs.py:Tint, title: !!python/object/apply:os.system [id]}",
        "                                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ put text"
        " that starts with '!' in quotes",
    ),
    "too-big": _code(
        "The file, or what its references come to, is too large.",
        "p.yaml: too-big: the file is larger than 64 KiB",
        "  move parts of it into files of their own (type: pipeline)",
    ),
    "too-deep": _code(
        "Mappings, lists or sub-pipelines too far inside each other.",
        "p.yaml:3:71: too-deep: more than 32 lists and mappings inside each other",
        "  …mera: {type: ./stubs.py:Camera, fps:"
        " [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[30]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
        "                                                                     ^",
    ),
    "too-many": _code(
        "More values, nodes, params or changes than are taken.",
        "too-many: 256 changes wait already",
    ),
    "too-tangled": _code(
        "A node has so many neighbours that formats cannot be chosen.",
        "p.yaml: too-tangled: formats cannot be chosen: hub meets 9 others at once",
    ),
    "two-types": _code(
        "Two installed packages offer a node type of the same name.",
        "byoc: node type 'blur' is offered by nodes.blur and mine.blur",
    ),
    "type-mismatch": _code(
        "An edge between two kinds that do not go together.",
        "p.yaml:4:27: type-mismatch: quiet.audio takes audio, but source.image gives picture",
        "    quiet: {type: gain, in: source.image, db: -6}",
        "                            ^^^^^^^^^^^^ take source.audio",
    ),
    "unknown-field": _code(
        "A field that this node, or this param, does not have.",
        "p.yaml:4:31: unknown-field: nodes.label.txt is not a field",
        '    label: {type: overlay_text, txt: "on air", size: 36}',
        "                                ^^^ did you mean 'text'?",
    ),
    "unknown-key": _code(
        "A key that is no part of the file.",
        "p.yaml:4:1: unknown-key: 'node' is not a part of a pipeline file",
        "  node:",
        "  ^^^^ did you mean 'nodes'?",
    ),
    "unknown-node": _code(
        "A node type, a node or a class that does not exist.",
        "p.yaml:4:19: unknown-node: no node type 'flp'",
        "    flipped: {type: flp}",
        "                    ^^^ did you mean 'flip'?",
    ),
    "unknown-param": _code(
        "A param that does not exist.",
        "p.yaml:6:53: unknown-param: nodes.tint.when reads 'lvel', which is not a param",
        "    tint: {type: ./stubs.py:Tint, when: level > 3 and lvel < 9}",
        "                                                      ^^^^ did you mean 'level'?",
    ),
    "unknown-port": _code(
        "An input or an output that the node does not have.",
        "p.yaml:4:37: unknown-port: nodes.tint.in: 'camera' has no output 'picture'",
        "    tint: {type: ./stubs.py:Tint, in: camera.picture}",
        "                                      ^^^^^^^^^^^^^^ it gives image",
    ),
    "unknown-target": _code(
        "A param leads to a node or a field that does not exist.",
        "p.yaml:3:11: unknown-target: params.amount: node 'tint' has no field 'amout'",
        "    amount: tint.amout",
        "            ^^^^^^^^^^ did you mean 'amount'?",
    ),
    "unreachable": _code(
        "A node that leads to no end, and so would never do anything.",
        "p.yaml:4:3: unreachable: nothing takes what 'faces' gives, so it never does anything",
        "    faces: {type: ./stubs.py:FindFaces}",
        "    ^^^^^ name it in the `in:` of another node, or take it out",
    ),
    "unused-param": _code(
        "A param that leads to nothing.",
        "p.yaml:3:3: unused-param: params.amount leads to nothing: no field in `to`, and no"
        " `when` reads it",
        "    amount: {default: 0.5}",
        "    ^^^^^^ write `to: node.field`",
    ),
    "yaml": _code(
        "The text is not YAML.",
        "p.yaml:4:9: yaml: '{' is never closed",
        "    tint: {type: ./stubs.py:Tint, amount: 0.5",
        "          ^",
    ),
}
"""In a pipeline file, a file of changes, or what is installed."""

REQUESTS: Final = {
    "bad-body": _code(
        "The body of a request lacks something, or holds it in another form.",
        "gateway_request_id: bad-body: gateway_request_id should be text, got 3",
    ),
    "bad-params": _code(
        "The params of a request are no JSON object.",
        "params: bad-params: params should be an object, got list",
    ),
    "bad-size": _code(
        "The bytes of a picture are not as many as its width and height call for.",
        "width: bad-size: 4x4 RGB24 is 48 bytes, got 3",
    ),
    "bad-url": _code(
        "A channel of a stream may not be at this address.",
        "events_url: bad-url: events_url should be an http or https address",
    ),
    "too-late": _code(
        "A param that can only be set before the start.",
        "width: too-late: width says how a source begins; it can only be set before the start",
    ),
}
"""In what a caller sends; `at`, the name of what is wrong, stands where a file has its place.

A request can also meet bad-value, too-many and unknown-param.
"""

CODES: Final = dict(sorted((FILES | REQUESTS).items()))

_HEAD: Final = """\
# Problems

Made from the code by `make docs`; do not edit. Every problem has a code. `byoc check` prints it
behind the place; in `byoc check --format json` and in the answers of a worker it is `code`. Codes
stay as they are: scripts may rely on them. `byoc problems CODE` explains one in the terminal.
"""


def listed() -> str:
    """Every code with its meaning, one a line."""
    width = max(map(len, CODES))
    return "".join(f"{name:{width}}  {code.meaning}\n" for name, code in CODES.items())


def text(name: str) -> str:
    """One code, explained. Raises LookupError: a sentence for the reader."""
    if name not in CODES:
        hint = did_you_mean(name, CODES)
        raise LookupError(f"there is no problem {name!r}" + (f"; {hint}" if hint else ""))
    code = CODES[name]
    return f"{name}: {code.meaning}\n\n" + "".join(f"  {line}\n" for line in code.example)


def markdown() -> str:
    """docs/problems.md: every code."""
    parts = [_HEAD, "## In a file\n", *map(_section, FILES)]
    parts += ["## In a request\n", *map(_section, REQUESTS)]
    return "\n".join(parts)


def _section(name: str) -> str:
    shown = "\n".join(CODES[name].example)
    return f"### {name}\n\n{CODES[name].meaning}\n\n```text\n{shown}\n```\n"
