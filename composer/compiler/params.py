"""Params as a pipeline declares them: what a caller may change, and how far."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from composer import strictjson
from composer.node.node import Node, change_of
from composer.pipeline.spec import ParamSpec, first_error, shown

_TYPES: Final[dict[str, type]] = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Target:
    """A field of a node that a param sets."""

    node: str
    field: str
    cls: type[Node]


@dataclass(frozen=True)
class Param:
    """A name that a caller may set. Inside a sub-pipeline its name begins with the scope: `a/b`.

    sets: params of sub-pipelines that always have the same value. value: what it is at the start.
    """

    name: str
    spec: ParamSpec
    targets: tuple[Target, ...] = ()
    sets: tuple[str, ...] = ()
    value: Any = None

    @property
    def change(self) -> str:
        """ "live", or "rebuild" when one of its fields is read by setup()."""
        changes = {change_of(target.cls, target.field) for target in self.targets}
        return "rebuild" if "rebuild" in changes else "live"

    @property
    def kind(self) -> str:
        """What JSON Schema calls its values: "number", "string", ...; "" for several kinds."""
        try:
            return str(self.schema().get("type", ""))
        except PydanticInvalidForJsonSchema:
            return ""

    def checked(self, value: Any) -> Any:
        """The value as its fields hold it. Raises ValueError: what to say behind its name."""
        value = self.fitted(value)
        _narrowed(self.spec, value)
        return value

    def fitted(self, value: Any) -> Any:
        """The same before the file narrows it."""
        _held(value, value)
        written = value
        for target in self.targets:
            value = _checked(_field_type(target), value)
        if not self.targets and self.spec.type is not None:
            value = _checked(_TYPES[self.spec.type], value)
        if value is not written:
            _held(value, written)
        return value

    def within(self, value: Any) -> None:
        """Raises ValueError where the file's narrower range or choice leaves this value out."""
        _narrowed(self.spec, value)

    def schema(self) -> dict[str, Any]:
        """JSON Schema of its value: type, range, default and help, narrowed by the file."""
        if self.targets:
            schema = dict(TypeAdapter(_field_type(self.targets[0])).json_schema())
            info = self.targets[0].cls.model_fields[self.targets[0].field]
            schema["description"] = self.spec.help or info.description or ""
        else:
            schema = dict(TypeAdapter(_TYPES[self.spec.type or "bool"]).json_schema())
            schema["description"] = self.spec.help
        bounds = (("minimum", self.spec.min), ("maximum", self.spec.max))
        schema |= {key: bound for key, bound in bounds if bound is not None}
        if self.spec.choices is not None:
            schema["enum"] = list(self.spec.choices)
        return schema | {"default": self.value, "x-change": self.change}


def _field_type(target: Target) -> Any:
    info = target.cls.model_fields[target.field]
    annotation: Any = info.annotation
    for mark in info.metadata:
        annotation = Annotated[annotation, mark]
    return annotation


def _checked(annotation: Any, value: Any) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as exc:
        raise ValueError(first_error(exc)) from exc


def _held(value: Any, written: Any) -> None:
    """Raises ValueError where others could not be told of a value in JSON."""
    if why := strictjson.why_not(value):
        raise ValueError(f"{why}, got {shown(written)}")


def _narrowed(spec: ParamSpec, value: Any) -> None:
    if spec.choices is not None and value not in spec.choices:
        choices = ", ".join(map(shown, spec.choices))
        raise ValueError(f" should be one of {choices}, got {shown(value)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if spec.min is not None and value < spec.min:
        raise ValueError(f" should be greater than or equal to {spec.min:g}, got {value!r}")
    if spec.max is not None and value > spec.max:
        raise ValueError(f" should be less than or equal to {spec.max:g}, got {value!r}")
