"""What a way to reach models has to do, and how it says that a call went wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from composer.remote.link import Deadline
from composer.remote.v2 import Metadata


class Failed(Exception):
    """Why a call did not go well, in words that follow the name of the server."""


class Broken(Failed):
    """It may go well if it is tried again."""


class Transport(Protocol):
    """One model of one server. All of it may be called by any thread.

    Every call raises TimeoutError at the deadline, Failed, Broken, and Unreadable for an answer
    that is not what the protocol says.
    """

    def ready(self, deadline: Deadline) -> bool: ...

    def metadata(self, deadline: Deadline) -> Metadata: ...

    def infer(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str], deadline: Deadline
    ) -> dict[str, NDArray[Any]]:
        """All outputs that came. Raises Unsendable for an array that the protocol does not know."""

    def close(self) -> None: ...
