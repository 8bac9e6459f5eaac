"""`${env:NAME}` and `${env:NAME:-default}` in values, filled from the environment."""

import re
from collections.abc import Mapping
from typing import Final

from composer.pipeline.source_text import NO_CHARACTER, short

# Inside { } and [ ] PyYAML would end a plain value at the brace of ${env:NAME}. The characters that
# mean something to YAML are replaced one for one while it looks, so that no position moves.
_MARKS: Final = "{}[],?:#"
_MASK: Final = {ord(mark): 0xFDD0 + index for index, mark in enumerate(_MARKS)}
_UNMASK: Final = {masked: mark for mark, masked in _MASK.items()}
_MASKED: Final = re.compile(r"""\$\{[^{}"'\r\n]*\}""")


def mask(text: str) -> str:
    """The text with its references out of PyYAML's sight."""
    return _MASKED.sub(lambda match: match[0].translate(_MASK), text)


def unmasked(text: str) -> str:
    """What PyYAML gives back, with its references as they were written."""
    return text.translate(_UNMASK)


REFERENCE: Final = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadReference(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def looked_up(reference: re.Match[str], env: Mapping[str, str]) -> str:
    """What a reference stands for; raises BadReference."""
    body, literal = reference["body"], "write $${ for a plain ${"
    if not reference["end"]:
        raise BadReference("'${' is never closed", literal)
    if "${" in body:
        raise BadReference("a reference cannot hold another one", literal)
    scheme, colon, rest = body.partition(":")
    if scheme != "env" or not colon:
        raise BadReference(
            f"{short(f'${{{body}}}')} is not a reference; they look like ${{env:NAME}}", literal
        )
    name, default, instead = rest.partition(":-")
    if not _NAME.fullmatch(name):
        raise BadReference(f"{short(name)} is not the name of an environment variable", "")
    value = env.get(name)
    if default:
        value = value or instead
    if value is None:
        hint = f"set it, or write ${{env:{name}:-default}}"
        raise BadReference(f"the environment has no {name}", hint)
    if NO_CHARACTER.search(value):
        raise BadReference(f"what the environment has as {name} is not UTF-8", "")
    return value


def name_of(reference: re.Match[str]) -> str:
    """The name of the variable that a reference reads."""
    return reference["body"].removeprefix("env:").partition(":-")[0]
