"""Who may ask the development server: everything else is refused, and every answer says how far."""

import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from composer.dev.studio import ASSETS
from tests.dev.developing import Desk, developing, makes, ran

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "text/plain"}
EVIL = "http://evil.example"

RULES = [
    pytest.param("GET", "/", {"Host": "evil.example"}, 421, id="another name in Host"),
    pytest.param("GET", "/", {"Host": "127.0.0.1:1"}, 421, id="another port in Host"),
    pytest.param("GET", "/", {"Host": "localhost:PORT"}, 200, id="localhost"),
    pytest.param("GET", "/dev/state", {"Host": "[::1]:PORT"}, 200, id="IPv6 loopback"),
    pytest.param("GET", "/dev/state", {"Authorization": ""}, 401, id="no token"),
    pytest.param("GET", "/page.js", {"Authorization": ""}, 401, id="no token for the script"),
    pytest.param("GET", "/nothing", {"Authorization": ""}, 401, id="no token, no route"),
    pytest.param("GET", "/dev/state", {"Authorization": "Bearer x"}, 401, id="a wrong token"),
    pytest.param("GET", "/dev/state", {"Authorization": "Bearer \xe9"}, 401, id="no ASCII"),
    pytest.param("GET", "/?token=x", {"Authorization": ""}, 401, id="a wrong token in the address"),
    pytest.param(
        "GET", "/dev/state?token=TOKEN", {"Authorization": ""}, 401, id="a token elsewhere"
    ),
    pytest.param("GET", "/?token=TOKEN", {"Authorization": ""}, 200, id="the printed address"),
    pytest.param("GET", "/dev/state", {"Sec-Fetch-Site": "cross-site"}, 403, id="another site"),
    pytest.param("GET", "/dev/state", {"Sec-Fetch-Site": "same-site"}, 403, id="another port"),
    pytest.param("GET", "/dev/state", {"Sec-Fetch-Site": "same-origin"}, 200, id="the page"),
    pytest.param("GET", "/nothing", {}, 404, id="no such route"),
    pytest.param("GET", "/../pyproject.toml", {}, 404, id="a path that leads out"),
    pytest.param("GET", "/VENDORED.txt", {}, 404, id="a file that is no part of the page"),
    pytest.param("GET", "/dev/params", {}, 405, id="a change by GET"),
    pytest.param("POST", "/dev/params", JSON | {"Authorization": ""}, 401, id="POST, no token"),
    pytest.param("POST", "/dev/params", JSON | {"Origin": EVIL}, 403, id="another Origin"),
    pytest.param("POST", "/dev/params", JSON | {"Origin": "null"}, 403, id="an Origin of nobody"),
    pytest.param(
        "POST", "/dev/params", JSON | {"Origin": "https://127.0.0.1:PORT"}, 403, id="https"
    ),
    pytest.param(
        "POST", "/dev/params", JSON | {"Sec-Fetch-Site": "cross-site"}, 403, id="POST, another site"
    ),
    pytest.param("POST", "/dev/params", FORM, 415, id="a body that a form could send"),
    pytest.param("POST", "/dev/pause", FORM, 415, id="the same for a pause"),
    pytest.param("POST", "/dev/rebuild", FORM, 415, id="the same for a rebuild"),
    pytest.param("POST", "/dev/snapshot", FORM, 415, id="the same for a snapshot"),
    pytest.param(
        "POST", "/dev/pause", JSON | {"Origin": "http://127.0.0.1:PORT"}, 200, id="our Origin"
    ),
]


async def asked(desk: Desk, method: str, path: str, headers: dict[str, str]) -> Any:
    """Status and headers of the answer. PORT and TOKEN stand for what they are."""
    port = desk.studio.address.rpartition(":")[2]

    def filled(text: str) -> str:
        return text.replace("PORT", port).replace("TOKEN", desk.token)

    shown = {name: filled(value) for name, value in (desk.shown | headers).items()}
    data = b"{}" if method == "POST" else None
    address = desk.studio.address + filled(path)
    async with desk.http.request(method, address, headers=shown, data=data) as response:
        return response.status, response.headers


@pytest.mark.fault("F-81")
def test_only_who_has_the_token_and_comes_from_here_is_let_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(lambda state: state["session"]["name"])
            for rule in RULES:
                method, path, headers, status = rule.values
                found, said = await asked(desk, str(method), str(path), headers)  # type: ignore[arg-type]
                assert found == status, rule.id
                assert "default-src 'self'" in said["Content-Security-Policy"], rule.id
                assert "frame-ancestors 'none'" in said["Content-Security-Policy"], rule.id
                assert said["X-Content-Type-Options"] == "nosniff", rule.id
                assert "Access-Control-Allow-Origin" not in said, rule.id

    ran(test)


def test_the_token_moves_into_a_cookie_that_no_script_and_no_other_site_has(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            address = desk.studio.address
            async with desk.http.get(desk.studio.link) as response:
                set_cookie = response.headers["Set-Cookie"]
            assert desk.token in set_cookie
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(set_cookie.split("; "))
            name = set_cookie.partition("=")[0]
            assert name.endswith(address.rpartition(":")[2]), "servers on other ports have others"
            for value, status in ((desk.token, 200), ("x", 401)):
                cookie = {"Cookie": f"{name}={value}"}
                async with desk.http.get(f"{address}/dev/state", headers=cookie) as response:
                    assert response.status == status

    ran(test)


def test_streams_say_the_same_of_themselves(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            for path in ("/dev/output.ts", "/dev/events"):
                status, said = await asked(desk, "GET", path, {})
                assert status == 200
                assert "default-src 'self'" in said["Content-Security-Policy"]
                assert said["Cache-Control"] == "no-store"

    ran(test)


def test_each_start_has_a_token_of_its_own_and_the_worker_asks_for_it(tmp_path: Path) -> None:
    async def test() -> None:
        tokens = []
        for _ in range(2):
            async with developing(makes(), tmp_path) as desk:
                tokens.append(desk.token)
        assert len(set(tokens)) == 2
        assert all(len(each) >= 32 for each in tokens)

    ran(test)


def asset(name: str) -> str:
    return resources.files("composer.dev").joinpath("assets", name).read_text("utf-8")


@pytest.mark.parametrize("name", ["index.html", "page.js", "page.css"])
@pytest.mark.fault("F-81")
def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(name: str) -> None:
    text = asset(name)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), "an address of somebody else"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"\sstyle=|\son[a-z]+=\"|<script>|<style", text), "inline"


def test_what_is_vendored_is_what_was_recorded() -> None:
    recorded = re.search(r"^([0-9a-f]{64})  mpegts\.js", asset("VENDORED.txt"), re.MULTILINE)
    assert recorded is not None
    assert hashlib.sha256(asset("mpegts.js").encode()).hexdigest() == recorded[1]
    assert "Apache License" in asset("mpegts.LICENSE.txt")
    own = {"index.html", "page.js", "page.css", "icon.svg"}
    assert {each[0] for each in ASSETS.values()} == own | {"mpegts.js"}
