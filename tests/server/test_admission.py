"""Who may ask a worker: with a token whoever shows it, without one whatever is no browser."""

from typing import Any

import pytest

from composer.server.tries import MOST, SECONDS
from composer.server.worker import Worker
from tests.server.streams import Stage, ran, serving

JSON = {"Content-Type": "application/json"}
EVIL = "http://evil.example"
START = "/stream/start"

OPEN = [
    pytest.param("GET", "/health", {}, 200, id="a tool"),
    pytest.param("GET", "/health", {"Host": "HERE"}, 200, id="its address"),
    pytest.param("GET", "/health", {"Host": "localhost:1234"}, 200, id="localhost, another port"),
    pytest.param("GET", "/health", {"Host": "a.localhost"}, 200, id="below localhost"),
    pytest.param("GET", "/health", {"Host": "[fd00::7]:8000"}, 200, id="a number of IPv6"),
    pytest.param("GET", "/health", {"Host": "10.2.3.4"}, 200, id="a number of IPv4"),
    pytest.param("GET", "/health", {"Host": "worker:8000"}, 200, id="a service of Compose"),
    pytest.param("GET", "/health", {"Host": "Worker.Test.:8000"}, 200, id="a name that was given"),
    pytest.param("GET", "/health", {"Host": "evil.example"}, 421, id="a name that leads here"),
    pytest.param("GET", "/health", {"Host": "evil.worker.test"}, 421, id="a name below ours"),
    pytest.param("GET", "/health", {"Host": "10.2.3.4.evil.example"}, 421, id="like a number"),
    pytest.param("GET", "/health", {"Host": "no host"}, 421, id="no name at all"),
    pytest.param("GET", "/metrics", {"Host": "evil.example"}, 421, id="figures"),
    pytest.param("GET", "/nothing", {"Host": "evil.example"}, 421, id="no such route"),
    pytest.param("GET", "/stream/status", {"Sec-Fetch-Site": "cross-site"}, 403, id="a page"),
    pytest.param("GET", "/stream/status", {"Sec-Fetch-Site": "same-site"}, 403, id="another port"),
    pytest.param("GET", "/stream/status", {"Sec-Fetch-Site": "none"}, 200, id="typed by somebody"),
    pytest.param("GET", "/stream/status", {"Origin": EVIL}, 403, id="a page that wants to read"),
    pytest.param("GET", "/stream/status", {"Origin": "http://HERE"}, 200, id="our own Origin"),
    pytest.param("GET", "/stream/status", {"Origin": "https://HERE"}, 403, id="with https"),
    pytest.param("POST", "/stream/stop", {"Origin": EVIL}, 403, id="a stop from a page"),
    pytest.param("POST", "/stream/stop", {"Origin": "null"}, 403, id="a stop from nobody's page"),
    pytest.param("POST", "/stream/stop", {"Content-Type": "text/plain"}, 200, id="a stop, as text"),
    pytest.param("POST", "/process", {"Origin": EVIL}, 403, id="a job from a page"),
    pytest.param("POST", START, JSON, 400, id="a start"),
    pytest.param("POST", START, {"Content-Type": "application/json; charset=utf-8"}, 400, id="so"),
    pytest.param("POST", START, {"Content-Type": "text/plain"}, 415, id="a start, as text"),
    pytest.param("POST", START, {}, 415, id="a start that says no type"),
    pytest.param(
        "POST", "/api/stream/params", {"Content-Type": "multipart/form-data"}, 415, id="a form"
    ),
    pytest.param("POST", "/live-video-to-video", {"Content-Type": "text/json"}, 415, id="old name"),
    pytest.param("POST", START, JSON | {"Origin": EVIL}, 403, id="a start from a page"),
]


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


def test_without_a_token_no_browser_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(names=("worker.test",)) as stage:
            for rule in OPEN:
                method, path, headers, status = rule.values
                found, said, _ = await asked(stage, method, path, headers)  # type: ignore[arg-type]
                assert found == status, rule.id
                assert "Access-Control-Allow-Origin" not in said, rule.id

    ran(test)
    assert caplog.text.count("BYOC_NAMES") == 1, "an operator is told, and not for each request"


def test_whoever_shows_the_token_may_call_the_worker_what_they_like() -> None:
    headers = {"Authorization": "Bearer t", "Host": "evil.example", "Origin": EVIL}

    async def test() -> None:
        async with serving(tokens=("t",)) as stage:
            status, *_ = await asked(stage, "POST", "/stream/stop", headers)
            assert status == 200
            status, *_ = await asked(stage, "POST", START, headers)
            assert status == 400, "the token is enough, whatever the body says that it is"

    ran(test)


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
