"""`when:` - a param, or a comparison of params, as a small pure function."""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

MAX_LENGTH: Final = 500

_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, group: value in group,
    ast.NotIn: lambda value, group: value not in group,
}
_WORDS: Final = {"true": True, "false": False, "null": None}


class BadCondition(ValueError):
    """A part of a condition that cannot be used: `length` characters from `offset` on."""

    def __init__(self, message: str, offset: int, length: int) -> None:
        super().__init__(message)
        self.offset: Final = offset
        self.length: Final = length


@dataclass(frozen=True)
class Condition:
    """A checked condition. names: the params it reads, with the column where each is written."""

    text: str
    names: Mapping[str, int]
    _tree: ast.expr
    _scope: str = ""

    def below(self, scope: str) -> "Condition":
        """The same condition, reading the params of a sub-pipeline: `show` is `scope/show`."""
        return replace(self, _scope=scope)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether it is true for these values. A comparison of unlike values is false."""
        try:
            if self._scope:
                params = {name: params[self._scope + name] for name in self.names}
            return bool(_value(self._tree, params))
        except TypeError:
            return False


def parse(text: str) -> Condition:
    """Raises ValueError with a sentence for the reader."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        message = "is not a condition; write a param, or a comparison such as `level > 3`"
        if _ASSIGNED.search(text):
            message = "is not a condition; what compares is `==`, not `=`"
        raise ValueError(message) from exc
    names: dict[str, int] = {}
    _check(tree, names, text)
    return Condition(text, names, tree)


_ASSIGNED: Final = re.compile(r"(?<![=!<>])=(?!=)")
_MAY_HOLD: Final = (
    "does not belong in a condition; it may hold params, values, comparisons, and, or, not"
)


def _column(text: str, offset: int) -> int:
    """ast counts bytes of UTF-8."""
    return len(text.encode()[:offset].decode(errors="replace"))


def _refuse(node: ast.expr, text: str) -> BadCondition:
    lines = text.splitlines()
    if len(lines) != 1 or node.end_col_offset is None:
        return BadCondition(f"{text!r} {_MAY_HOLD}", 0, len(text))
    start, end = _column(text, node.col_offset), _column(text, node.end_col_offset)
    return BadCondition(f"{text[start:end]!r} {_MAY_HOLD}", start, end - start)


def _known(ops: Iterable[ast.cmpop]) -> bool:
    return all(type(op) in _COMPARE for op in ops)


def _check(node: ast.expr, names: dict[str, int], text: str) -> None:
    match node:
        case ast.Name(id=name):
            if name not in _WORDS:
                names.setdefault(name, _column(text, node.col_offset))
        case ast.Constant(value=bool() | int() | float() | str() | None):
            pass
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            _check(inner, names, text)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            pass
        case ast.BoolOp(values=parts):
            for part in parts:
                _check(part, names, text)
        case ast.Compare(left=left, ops=ops, comparators=rest) if _known(ops):
            for part in (left, *rest):
                _check(part, names, text)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            for part in parts:
                _check(part, names, text)
        case _:
            raise _refuse(node, text)


def _value(node: ast.expr, params: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return _WORDS[name] if name in _WORDS else params[name]
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, params)
        case ast.UnaryOp(operand=inner):
            return -_value(inner, params)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, params) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, params) for part in parts)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part, params) for part in parts]
        case ast.Compare(left=left, ops=ops, comparators=rest):
            values = [_value(part, params) for part in (left, *rest)]
            pairs = zip(ops, values, values[1:], strict=False)
            return all(_COMPARE[type(op)](one, other) for op, one, other in pairs)
    raise AssertionError(f"unchecked condition {ast.dump(node)}")
