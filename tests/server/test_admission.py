"""Who may ask a worker: with a token whoever shows it."""

from typing import Any

import pytest

from composer.server.tries import MOST, SECONDS
from composer.server.worker import Worker
from tests.server.streams import Stage, ran, serving

START = "/stream/start"


async def asked(
    stage: Stage, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, Any], Any]:
    here = stage.worker.address.removeprefix("http://")
    sent = {name: value.replace("HERE", here) for name, value in headers.items()}
    data = b"{}" if method == "POST" else None
    address = stage.worker.address + path
    async with stage.http.request(
        method, address, headers=sent, data=data, skip_auto_headers=("Content-Type",)
    ) as answer:
        return answer.status, dict(answer.headers), await answer.text()


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ("Bearer right", 200),
        ("bearer  right", 200),
        ("right", 401),
        ("Basic right", 401),
        ("Token right", 401),
        ("Bearerright", 401),
        ("Bearer", 401),
        ("Bearer Bearer right", 401),
        ("Bearer \xe9", 401),
    ],
)
def test_a_token_is_shown_as_a_bearer(shown: str, status: int) -> None:
    async def test() -> None:
        async with serving(tokens=("other", "right")) as stage:
            found, *_ = await asked(stage, "GET", "/stream/status", {"Authorization": shown})
            assert found == status

    ran(test)


def test_who_guesses_is_told_to_wait_and_whoever_knows_the_token_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed: list[Worker] = []
    monkeypatch.setattr(Worker, "renew", lambda worker: renewed.append(worker))
    wrong, right = {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer right"}

    async def test() -> None:
        async with serving(tokens=("right",)) as stage:
            found = [(await asked(stage, "GET", "/stream/status", wrong))[0] for _ in range(MOST)]
            assert found == [401] * MOST
            status, headers, _ = await asked(stage, "POST", START, wrong)
            assert (status, int(headers["Retry-After"])) == (429, SECONDS / MOST)
            assert len(renewed) == MOST, "no orchestrator drops a capability for a 429"
            assert (await asked(stage, "GET", "/stream/status", right))[0] == 200
            assert (await asked(stage, "GET", "/health", {}))[0] == 200

    ran(test)
