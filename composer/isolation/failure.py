"""Failure: an exception on its way to another process, which may not have its class."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from composer.errors import ComposerError, NodeFailed, Overdue, Stalled

LONGEST_TEXT: Final = 16 * 1024
"""Characters of what a node has to say in one; the rest is left out."""


class Failure(BaseModel):
    """kind: what it is raised as again. cause: the name of a class. seconds: of a frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["node", "overdue", "stalled", "other"]
    message: str
    cause: str = ""
    node: str = ""
    doing: str = ""
    seconds: float | None = None

    @classmethod
    def of(cls, exc: BaseException) -> "Failure":
        """Any exception; its text is anybody's, and may be long or raise."""
        if isinstance(exc, NodeFailed):
            cause = exc.__cause__ or exc
            return cls(
                kind="node",
                message=_text(cause),
                cause=type(cause).__name__,
                node=exc.node,
                doing=exc.doing,
                seconds=exc.seconds,
            )
        if isinstance(exc, Overdue):
            return cls(kind="overdue", message=_text(exc))
        if isinstance(exc, ComposerError):
            return cls(kind="stalled", message=_text(exc))
        return cls(kind="other", message=_text(exc), cause=type(exc).__name__)

    def exception(self) -> Exception:
        """The same, to be raised here."""
        if self.kind == "node":
            return NodeFailed(self.node, self.doing, self._cause(), self.seconds)
        if self.kind == "overdue":
            return Overdue(self.message)
        return Stalled(self.message) if self.kind == "stalled" else self._cause()

    def _cause(self) -> Exception:
        name = self.cause if self.cause.isidentifier() else "Exception"
        raised: Exception = type(name, (Exception,), {})(self.message)
        return raised


def _text(exc: BaseException) -> str:
    try:
        return shortened(str(exc))
    except Exception as other:  # noqa: BLE001 - a node raises what it likes
        return f"its text raised {type(other).__name__}"


def shortened(text: str) -> str:
    """A text of anybody's, of a length that can be sent."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " ..."
