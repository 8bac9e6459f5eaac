"""Engine: something loaded that turns arrays into arrays."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from composer.errors import ComposerError
from composer.models.onnxfile import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from composer.device.lanes import Lane


class ModelFailed(ComposerError):
    """A model that cannot be loaded, or not where it was asked for. The message says why."""


class Engine(Protocol):
    """A loaded model. Any thread may call; one call is made at a time.

    warmed: shapes of inputs that it has been run on before its first picture. logits: outputs whose
    scores were once beyond what a chance can be.
    """

    warmed: set[Hashable]
    logits: set[str]

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    @property
    def about(self) -> Mapping[str, Any]:
        """For people and for state: where it really runs, with what, how much memory."""

    def run(
        self, feeds: "Mapping[str, NDArray[Any]]", outputs: Sequence[str]
    ) -> "dict[str, NDArray[Any]]":
        """The outputs of these names for inputs by name. The arrays given may be used again after
        it returns; those it gives belong to the caller.
        """

    @property
    def lane(self) -> "Lane":
        """The lane of its device on which run_there() works."""

    def run_there(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        """The same for tensors of its device, in order on its lane; the host waits for nothing.

        Inputs that a value of the file feeds are arrays.
        """

    def close(self) -> None:
        """Give back what loading took."""
