"""Registration: makes a capability known to an orchestrator, and keeps it known (contract 7)."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import aiohttp

from composer.trickle.http import Http

log: Final = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 45.0
"""Between two registrations that went well: an orchestrator forgets all when it restarts."""

REFUSED_SECONDS: Final = 60.0
"""After a refusal: an operator may mend the secret, and nobody should be flooded meanwhile."""

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 60.0

RENEW_SECONDS: Final = 1.0
"""At least so long between two registrations, however many requests were answered 401."""

CALL_SECONDS: Final = 10.0
BYE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Offered:
    """What an orchestrator is told of a capability; prices are per second."""

    name: str
    url: str
    description: str = ""
    price_per_unit: int = 0
    price_scaling: int = 1
    currency: str = ""
    token: str = ""

    def body(self, capacity: int) -> dict[str, Any]:
        """The JSON of contract 7.1; what is not set is left away."""
        made: dict[str, Any] = {
            "name": self.name,
            "url": self.url,
            "capacity": capacity,
            "price_per_unit": self.price_per_unit,
            "price_scaling": self.price_scaling,
        }
        more = (("description", self.description), ("currency", self.currency))
        return made | {key: value for key, value in (*more, ("token", self.token)) if value}


class RegistrationOutcome(Enum):
    """What became of a registration."""

    DONE = "done"
    REFUSED = "refused"  # asking again soon would not help
    FAILED = "failed"


class Rhythm:
    """How long to wait before the next registration."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._failures = 0

    def after(self, answer: RegistrationOutcome) -> float:
        if answer is RegistrationOutcome.FAILED:
            wait = min(LONGEST_SECONDS, FIRST_SECONDS * float(2 ** min(self._failures, 10)))
            self._failures += 1
            return wait * (0.5 + self._chance() / 2)
        self._failures = 0
        return REFUSED_SECONDS if answer is RegistrationOutcome.REFUSED else AGAIN_SECONDS


class Registration:
    """One capability at one orchestrator. `free`: how many more sessions could be taken."""

    def __init__(
        self,
        http: Http,
        orchestrator: str,
        secret: str,
        offered: Offered,
        free: Callable[[], int],
        rhythm: Rhythm | None = None,
    ) -> None:
        self.registered = False
        self._tried = False
        self.error = ""
        """Why the last attempt did not go well."""

        self._http, self._url, self._secret = http, orchestrator.rstrip("/"), secret
        self._offered, self._free = offered, free
        self._rhythm = rhythm or Rhythm()
        self._renewal = asyncio.Event()

    async def run(self) -> None:
        """Register, again and again, until cancelled."""
        while True:
            answer = await self._register()
            self._renewal.clear()
            wait = self._rhythm.after(answer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._renewal.wait()
                    # Many may come at once; the orchestrator has forgotten us only once.
                    await asyncio.sleep(RENEW_SECONDS)

    def renew(self) -> None:
        """Register soon: the orchestrator has just dropped us (contract 2.8)."""
        self._renewal.set()

    async def close(self) -> None:
        """Unregister, if that is possible within two seconds."""
        if not self._tried:
            return
        self.registered = False
        try:
            async with asyncio.timeout(BYE_SECONDS):
                await self._call("unregister", data=self._offered.name)
        except _UNASKED as exc:
            log.warning("%s was not told of the end: %s", self._url, _why(exc))

    async def _register(self) -> RegistrationOutcome:
        self._tried = True
        try:
            async with asyncio.timeout(CALL_SECONDS):
                # The orchestrator counts from 0 again at each registration (contract 7.2).
                status, text = await self._call(
                    "register", json=self._offered.body(max(0, self._free()))
                )
        except (aiohttp.ServerDisconnectedError, ConnectionResetError) as exc:
            return self._hung_up(exc)
        except aiohttp.ClientOSError as exc:
            if isinstance(exc, aiohttp.ClientConnectorError):
                return self._failed(_why(exc), exc)
            return self._hung_up(exc)
        except _UNASKED as exc:
            return self._failed(_why(exc), exc)
        if status == 200:
            if not self.registered:
                log.info("registered %s at %s", self._offered.name, self._url)
            self.registered, self.error = True, ""
            return RegistrationOutcome.DONE
        if 400 <= status < 500:
            said = "the secret is wrong" if "authorization" in text else f"{status} {text[:200]}"
            self._note(said)
            return RegistrationOutcome.REFUSED
        return self._failed(f"it answered {status}", None)

    async def _call(self, what: str, **body: Any) -> tuple[int, str]:
        async with self._http.post(
            f"{self._url}/capability/{what}",
            headers={"Authorization": self._secret},
            allow_redirects=False,
            **body,
        ) as response:
            data = await response.content.read(4096)
            return response.status, data.decode(errors="replace").strip()

    def _hung_up(self, exc: Exception) -> RegistrationOutcome:
        """A currency that an orchestrator does not know ends its connection (contract 7.1)."""
        if self._offered.currency:
            self._note(f"it hung up; it may not know the currency {self._offered.currency!r}")
            return RegistrationOutcome.REFUSED
        return self._failed("it hung up", exc)

    def _failed(self, said: str, cause: BaseException | None) -> RegistrationOutcome:
        self._note(said)
        log.debug("registration: %r", cause)
        return RegistrationOutcome.FAILED

    def _note(self, said: str) -> None:
        if said != self.error:
            log.warning("%s cannot be registered at %s: %s", self._offered.name, self._url, said)
        self.registered, self.error = False, said


_UNASKED: Final = (TimeoutError, aiohttp.ClientError, OSError, ValueError)
"""Why a request comes to nothing; ValueError where it cannot even be written."""


def _why(exc: BaseException) -> str:
    if isinstance(exc, ValueError) and not isinstance(exc, aiohttp.ClientError):
        return f"it cannot be asked ({type(exc).__name__})"  # with the secret, perhaps
    return "it does not answer" if isinstance(exc, TimeoutError) else type(exc).__name__
