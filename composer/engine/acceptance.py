"""Acceptance: whether a change of params can be made, looked at as a whole."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from composer.compiler.params import Param
from composer.errors import ParamRejected, Problem
from composer.node.node import Node, change_of
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import first_error

MOST_GUESSES: Final = 8
"""Most names that nobody knows for which one that somebody may have meant is looked for."""


class Acceptance:
    """Knows what params there are and what the nodes behind them are set to, so that a node's own
    validators see all of its new values together. For one thread at a time.
    """

    def __init__(self, params: Iterable[Param], nodes: Mapping[str, Node]) -> None:
        self.params = {param.name: param for param in params}
        self._settings = {name: dict(node.__dict__) for name, node in nodes.items()}
        self._classes = {name: type(node) for name, node in nodes.items()}

    def accept(
        self, values: Mapping[str, Any], held: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The values as nodes hold them. held: what each param is worth, once sources have begun:
        what their setup() reads cannot change any more then.

        Raises ParamRejected with one Problem per param; then nothing has changed.
        """
        problems: list[Problem] = []
        accepted: dict[str, Any] = {}
        for name, value in values.items():
            param = self.params.get(name)
            if param is None or "/" in name:
                # Each guess is a comparison with all that are known.
                guesses = len(problems) < MOST_GUESSES
                problems.append(self._unknown(str(name), guesses=guesses))
                continue
            if held is not None and _begins(param) and value != held[name]:
                message = f"{name} says how a source begins; it can only be set before the start"
                problems.append(Problem("too-late", message, name))
                continue
            try:
                accepted[name] = param.checked(value)
            except ValueError as exc:
                problems.append(Problem("bad-value", f"{name}{exc}", name))
        changes = self._fields(accepted)
        problems += self._together(changes, accepted)
        if problems:
            raise ParamRejected(problems)
        for node, fields in changes.items():
            self._settings[node] |= fields
        return accepted

    def edit(self, fields: Mapping[str, Mapping[str, Any]], params: Iterable[Param]) -> None:
        """Take over what a file says otherwise now: live fields by node, and the same params."""
        self.params = {param.name: param for param in params}
        for node, values in fields.items():
            self._settings[node] |= values

    def _unknown(self, name: str, *, guesses: bool) -> Problem:
        known = [public for public in self.params if "/" not in public]
        hint = did_you_mean(name, known) if guesses else ""
        shown = name[:100]
        return Problem("unknown-param", f"there is no param {shown!r}", shown, hint=hint)

    def _fields(self, accepted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What the values mean for the fields of each node."""
        changes: dict[str, dict[str, Any]] = {}
        for name, value in accepted.items():
            for target in self.params[name].targets:
                changes.setdefault(target.node, {})[target.field] = value
        return changes

    def _together(
        self, changes: Mapping[str, Mapping[str, Any]], accepted: Mapping[str, Any]
    ) -> list[Problem]:
        """What the nodes' own validators say of all new values together."""
        blame = {target.node: name for name in accepted for target in self.params[name].targets}
        problems = []
        for node, fields in changes.items():
            try:
                self._classes[node].model_validate({**self._settings[node], **fields})
            except ValidationError as exc:
                message = f"{blame[node]}{first_error(exc)}"
                problems.append(Problem("bad-value", message, blame[node]))
        return problems


def _begins(param: Param) -> bool:
    """Whether it sets what a source reads in setup(): a source is never built anew."""
    return any(
        not target.cls.inputs and change_of(target.cls, target.field) == "rebuild"
        for target in param.targets
    )
