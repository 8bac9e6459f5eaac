"""Acceptance: whether a change of params can be made, looked at as a whole."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from composer.compiler.params import Param
from composer.errors import ParamRejected, Problem, is_ours, told, words_of
from composer.node import own_code
from composer.node.node import Node, change_of
from composer.pipeline.hints import did_you_mean
from composer.pipeline.spec import first_error

log: Final = logging.getLogger(__name__)

MOST_GUESSES: Final = 8
"""Most names that nobody knows for which one that somebody may have meant is looked for."""


@dataclass(frozen=True)
class Judgement:
    """A change that can be made. values: as nodes hold them. fields: what they mean for the fields
    of each node. version: of the settings that it was looked at with.
    """

    values: dict[str, Any]
    fields: Mapping[str, Mapping[str, Any]]
    version: int


class Acceptance:
    """Knows what params there are and what the nodes behind them are set to, so that a node's own
    validators see all of its new values together. Several threads may judge; adopt() and edit() are
    for one at a time.
    """

    def __init__(self, params: Iterable[Param], nodes: Mapping[str, Node]) -> None:
        self.params = {param.name: param for param in params}
        self.version = 0
        """Another one when nodes are set otherwise: what was judged before may not hold."""
        self._settings = {name: dict(node.__dict__) for name, node in nodes.items()}
        self._classes = {name: type(node) for name, node in nodes.items()}
        self._foreign: dict[str, bool] = {}

    def accept(
        self, values: Mapping[str, Any], held: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Judge and adopt at once. Raises ParamRejected; then nothing has changed."""
        judgement = self.judge(values, held)
        self.adopt(judgement)
        return judgement.values

    def asks_nodes(self, values: Mapping[str, Any]) -> bool:
        """Whether code of nodes has a say in these: it may take any time."""
        targets = [
            target
            for name in values
            if (param := self.params.get(name)) is not None
            for target in param.targets
        ]
        return any(self._is_foreign(target.node) for target in targets)

    def judge(self, values: Mapping[str, Any], held: Mapping[str, Any] | None = None) -> Judgement:
        """Whether a change can be made; it changes nothing. held: what each param is worth, once
        sources have begun: what their setup() reads cannot change any more then.

        Raises ParamRejected with one Problem per param.
        """
        problems: list[Problem] = []
        accepted: dict[str, Any] = {}
        version = self.version
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
                with _checking(name):
                    accepted[name] = param.checked(value)
            except ValueError as exc:
                problems.append(Problem("bad-value", f"{name}{words_of(exc)}", name))
        fields = self._fields(accepted)
        problems += self._together(fields, accepted)
        if problems:
            raise ParamRejected(problems)
        return Judgement(accepted, fields, version)

    def adopt(self, judgement: Judgement) -> None:
        """Let nodes be set as was judged, in the same version of the settings."""
        assert judgement.version == self.version, "nodes are set otherwise by now"
        if judgement.fields:
            self.version += 1
        for node, fields in judgement.fields.items():
            self._settings[node] = {**self._settings[node], **fields}

    def edit(self, fields: Mapping[str, Mapping[str, Any]], params: Iterable[Param]) -> None:
        """Take over what a file says otherwise now: live fields by node, and the same params."""
        self.params = {param.name: param for param in params}
        self.version += 1
        for node, values in fields.items():
            self._settings[node] = {**self._settings[node], **values}

    def _is_foreign(self, node: str) -> bool:
        if node not in self._foreign:
            self._foreign[node] = own_code.checks_with(self._classes[node])
        return self._foreign[node]

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
            name = blame[node]
            try:
                with _checking(name):
                    self._classes[node].model_validate({**self._settings[node], **fields})
            except ValueError as exc:
                problems.append(Problem("bad-value", f"{name}{words_of(exc)}", name))
        return problems


def _begins(param: Param) -> bool:
    """Whether it sets what a source reads in setup(): a source is never built anew."""
    return any(
        not target.cls.inputs and change_of(target.cls, target.field) == "rebuild"
        for target in param.targets
    )


@contextmanager
def _checking(param: str) -> Iterator[None]:
    """Raises ValueError, what to say behind the name of a param, for whatever its check raises: a
    node's validators are anybody's code.
    """
    try:
        try:
            yield
        except ValidationError as exc:
            raise ValueError(first_error(exc)) from None
    except ValueError:
        raise
    except BaseException as exc:  # it is anybody's code
        if is_ours(exc):
            raise
        log.warning("what checks the param %r failed: %s", param, told(exc))
        raise ValueError(" cannot be checked: the node failed over it") from None
