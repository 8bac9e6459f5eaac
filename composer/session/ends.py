"""The ends of an execution as its session sees them: what it is fed through, and read from."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from composer.media.mpegts.written import Written
from composer.session.egress import Cut, EgressCount, Offer
from composer.session.ingress import IngressCount, Source


class InputEnd(Protocol):
    """Takes the input of a session: see composer.session.ingress.Ingress."""

    @property
    def counts(self) -> IngressCount: ...

    @property
    def last_at(self) -> float: ...

    @property
    def given_at(self) -> float: ...

    @property
    def waiting(self) -> int: ...

    @property
    def unreadable(self) -> list[str]: ...

    @property
    def parsed(self) -> bool: ...

    @property
    def overdrawn(self) -> bool: ...

    @property
    def head(self) -> bytes: ...

    @property
    def tracks(self) -> Sequence[tuple[str, str]]: ...

    def fed_at(self, kind: str) -> float: ...

    def attach(self, source: Source) -> None: ...

    def detach(self) -> None: ...

    def tend(self) -> None: ...

    def gap(self) -> None: ...


class OutputEnd(Protocol):
    """Gives the output of a session: see composer.session.egress.Egress."""

    @property
    def counts(self) -> EgressCount: ...

    @property
    def last_at(self) -> float: ...

    @property
    def shift(self) -> int: ...

    def written(self) -> Written | None: ...

    async def read(self, offer: Offer | None = None) -> bytes | Cut | None: ...

    def end(self) -> None: ...


class DataEnd(Protocol):
    """Gives the data of a session: see composer.session.data_lines.DataLines."""

    @property
    def dropped(self) -> Counter[str]: ...

    @property
    def waiting(self) -> int: ...

    def take(self) -> bytes: ...
