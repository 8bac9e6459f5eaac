"""Texts read as pipeline files, and what a reader of a broken one sees."""

from collections.abc import Mapping

from composer.pipeline import report
from composer.pipeline.document import Document
from composer.pipeline.source import parse

PORTRAIT = """\
version: 1
nodes:   # one per line
  halo: {type: blur, in: [a, "b c"]}
  big:
    radius: 64
    empty:
    text: |
      one
      two
  list:
  - x
  -  y z
"""


def read(text: bytes | str, env: Mapping[str, str] | None = None) -> Document:
    return parse(text, "p.yaml", env or {})


def said(text: bytes | str, env: Mapping[str, str] | None = None) -> str:
    """What the reader of a broken file sees, without the count."""
    document = read(text, env)
    return report.text(document.problems, {"p.yaml": document.lines}).rpartition("\n")[0]


def codes(document: Document) -> list[str]:
    return [problem.code for problem in document.problems]
