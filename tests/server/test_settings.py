"""What an operator sets: flags and the environment are one model."""

import os
from typing import Any

import pytest
from typer.testing import CliRunner

from composer.command.cli import app
from composer.errors import SettingsInvalid
from composer.server.settings import Settings, flag, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


def test_every_setting_has_a_flag_a_variable_and_a_word_of_help() -> None:
    said = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "400"}).output
    for name, field in Settings.model_fields.items():
        assert flag(name) in said, name
        assert f"[{field.alias}" in said, name
        assert field.description


def test_the_environment_sets_and_a_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPABILITY_CAPACITY", "3")
    monkeypatch.setenv("BYOC_PORT", "9000")
    monkeypatch.setenv("CAPABILITY_NAME", "")
    made = load({"port": 9001, "capacity": None})
    assert (made.capacity, made.port, made.name) == (3, 9001, "")


def test_lists_are_written_with_commas() -> None:
    made = load(
        {
            "orchestrators": "https://a:1/, https://b:2",
            "url": "http://worker:8000/",
            "orch_secret": "s",
            "token": "one,two",
            "trickle_hosts": "a, b:9",
        }
    )
    assert made.orchestrator_urls == ("https://a:1", "https://b:2")
    assert made.url == "http://worker:8000"
    assert made.tokens == ("one", "two")
    assert made.hosts == ("a", "b:9")


def test_a_worker_is_known_by_its_addresses_and_by_further_names() -> None:
    made = load({"url": "https://Worker.Example:9/x", "host": "::", "names": "a, b.example:1"})
    assert made.known_names == ("::", "worker.example", "a", "b.example:1")
    assert load({}).known_names == ("127.0.0.1",)


def test_hosts_of_channels_are_learned_from_the_orchestrators() -> None:
    known = {"orchestrators": "https://Orch:8935, http://[::1]:9", "url": "http://w"}
    made = load({**known, "orch_secret": "s", "trickle_hosts": "media:443, auto"})
    assert made.hosts == ("media:443", "orch", "::1")


def test_secrets_are_taken_out_of_the_environment_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORCH_SECRET", "hidden-1")
    monkeypatch.setenv("CAPABILITY_TOKEN", "hidden-2")
    made = load({})
    assert made.orch_secret.get_secret_value() == "hidden-1"
    assert "hidden" not in repr(made)
    assert "ORCH_SECRET" not in os.environ
    monkeypatch.setenv("ORCH_SECRET", "hidden-3")
    with pytest.raises(SettingsInvalid) as refused:
        load({"port": 99_999})
    assert "hidden" not in str(refused.value)
    assert "ORCH_SECRET" not in os.environ


def test_a_newline_at_the_end_is_not_part_of_what_a_file_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORCH_SECRET", " s\u00e9cret\r\n")
    monkeypatch.setenv("CAPABILITY_TOKEN", "one,two\n")
    monkeypatch.setenv("ORCH_URL", "https://a:1/\n")
    monkeypatch.setenv("CAPABILITY_URL", "http://worker:8000/\n")
    monkeypatch.setenv("BYOC_PORT", "9000\n")
    made = load({})
    assert made.orch_secret.get_secret_value() == "s\u00e9cret"
    assert (made.tokens, made.orchestrator_urls) == (("one", "two"), ("https://a:1",))
    assert (made.url, made.port) == ("http://worker:8000", 9000)
    monkeypatch.setenv("ORCH_SECRET", "\n")
    with pytest.raises(SettingsInvalid, match=r"--orch-secret \(ORCH_SECRET\) is needed"):
        load({})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 70_000}, r"--port (BYOC_PORT) should be less than or equal to 65535, got 70000"),
        ({"capacity": 0}, r"--capacity (CAPABILITY_CAPACITY) should be greater than or equal to 1"),
        ({"url": "worker:8000"}, "--url (CAPABILITY_URL)"),
        ({"log": "xml"}, "--log (BYOC_LOG)"),
        (
            {"orchestrators": "http://o", "url": "http://w"},
            "to register at an orchestrator, --orch-secret (ORCH_SECRET) is needed, too",
        ),
        (
            {"orchestrators": "127.0.0.1:8935", "url": "http://w", "orch_secret": "s"},
            "(ORCH_URL) should begin with http:// or https://, got '127.0.0.1:8935'",
        ),
        ({"orchestrators": "http://a, http://"}, "--orchestrators (ORCH_URL) should name a host"),
        ({"orchestrators": "http://me:pw@o"}, "(ORCH_URL) should hold no user, no ? and no #"),
        ({"url": "http://w:99999"}, "--url (CAPABILITY_URL) should be an address"),
        (
            {"orch_secret": "one\ntwo"},
            "--orch-secret (ORCH_SECRET) holds U+000A, which no HTTP header can have",
        ),
        ({"token": "a,b\x00c"}, "--token (CAPABILITY_TOKEN) holds U+0000, which no HTTP header"),
        ({"orch_secret": "\udcff"}, "--orch-secret (ORCH_SECRET) should be UTF-8"),
        ({"name": "\udcff"}, r"--name (CAPABILITY_NAME) should be UTF-8, got '\udcff'"),
        (
            {"trickle_hosts": "a, orch/live"},
            "--trickle-hosts (BYOC_TRICKLE_HOSTS) has 'orch/live', which should hold a host",
        ),
        (
            {"trickle_hosts": "a, auto"},
            "--trickle-hosts (BYOC_TRICKLE_HOSTS) auto needs --orchestrators (ORCH_URL)",
        ),
        ({"orchestrators": "http://a..b"}, "--orchestrators (ORCH_URL) should name a host"),
        ({"names": "a b"}, "--names (BYOC_NAMES) has 'a b', which is no host"),
        (
            {"orchestrators": "http://o"},
            "--url (CAPABILITY_URL) and --orch-secret (ORCH_SECRET) is needed",
        ),
    ],
)
@pytest.mark.fault("F-60")
def test_what_is_wrong_is_told_with_flag_and_variable(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load(given)
    assert said in str(refused.value)
