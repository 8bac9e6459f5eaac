"""Told: params as others are told of them. What is long is cut, once for each change."""

from collections.abc import Mapping
from typing import Any

from composer import strictjson


class Told:
    """Remembers what it has cut: a picture as text is told of every few seconds."""

    def __init__(self) -> None:
        self._cut: dict[str, tuple[Any, Any]] = {}

    def of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The same params, each of a length that can be written at any time."""
        return {name: self._one(name, value) for name, value in params.items()}

    def _one(self, name: str, value: Any) -> Any:
        whole, cut = self._cut.get(name, (None, None))
        if whole is not None and whole is value:
            return cut
        told = strictjson.brief(value)
        if told is value:
            self._cut.pop(name, None)
        else:
            self._cut[name] = (value, told)
        return told
