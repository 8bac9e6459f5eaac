"""A flag of the command line for every setting, so that none is written down twice."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from composer.server.settings import Settings, flag

PLAIN: Final[Mapping[Any, type]] = {
    int: int,
    int | None: int,
    float: float,
    bool: bool,
}
"""What a flag is read as, by the type of its setting; text where it is none of these."""


def run(command: Callable[..., None], arguments: Sequence[str], name: str) -> None:
    """Run a command with flags for all settings; exits as typer does."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(flagged(command))
    app(list(arguments), prog_name=name)


def flagged(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for every setting, handed over as **flags."""
    kept = [each for each in _parameters(command) if each.kind is not Parameter.VAR_KEYWORD]
    made = [_parameter(name, info) for name, info in Settings.model_fields.items()]
    parameters = [*kept, *made]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _parameters(command: Callable[..., None]) -> list[Parameter]:
    return list(Signature.from_callable(command).parameters.values())


def _parameter(name: str, info: FieldInfo) -> Parameter:
    plain = PLAIN.get(info.annotation, str)
    shown = "" if info.annotation is SecretStr or info.default is None else str(info.default)
    said = f"{info.description}  [{info.alias}{f'; {shown}' if shown else ''}]"
    spelled = f"{flag(name)}/--no-{flag(name)[2:]}" if plain is bool else flag(name)
    option = typer.Option(spelled, help=said)
    wanted: Any = Annotated[plain | None, option]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=wanted)
