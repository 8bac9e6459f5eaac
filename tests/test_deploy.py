"""What is in deploy/ fits the worker, go-livepeer and the page that explains it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from composer.server.settings import Settings
from tests.clips import ROOT

DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "network.md"

FILES = ("compose.yaml", "compose.gpu.yaml", "compose.weights.yaml", "mediamtx.yml")

COMPOSE = {"COMPOSE_PROFILES"}
"""What Compose itself reads."""

ELSEWHERE = {"BYOC_CACHE": "composer/models/weights.py"}
"""What the worker takes from the environment beside its settings."""

FLAGS = {
    "orchestrator": {
        "orchestrator": "flags.go",
        "network": "flags.go; starter.go has the networks",
        "ethUrl": "flags.go; starter.go: empty ends it, unless offchain",
        "ethKeystorePath": "flags.go; starter.go parseEthKeystorePath: a folder that exists",
        "ethPassword": "flags.go; eth/accountmanager.go: a file for Unlock, not for a new account",
        "dataDir": "flags.go",
        "serviceAddr": "flags.go; starter.go getServiceURI: without a scheme",
        "orchSecret": "flags.go; starter.go: needed without -transcoder and -aiWorker",
        "pricePerUnit": "flags.go UpdateNilsForUnsetFlags, starter.go: has to be set, may be 0",
    },
    "gateway": {
        "gateway": "flags.go",
        "network": "flags.go",
        "ethUrl": "flags.go",
        "ethKeystorePath": "flags.go",
        "ethPassword": "flags.go",
        "dataDir": "flags.go",
        "orchAddr": "flags.go; starter.go parseOrchAddrs: https:// is put before it",
        "httpAddr": "flags.go; starter.go defaultAddr: 127.0.0.1 before a bare port",
        "httpIngest": "flags.go; starter.go: off at a public -httpAddr unless set",
        "gatewayHost": "flags.go; byoc/stream_gateway.go",
    },
}
"""Flags of go-livepeer, and the files that say so: below cmd/livepeer/starter/, or in full."""

VARIABLES = {
    "gateway": {
        "LIVE_AI_WHIP_ADDR": "media/whip_server.go getUDPListenerAddr, server/ai_mediaserver.go",
        "LIVE_AI_NAT_IP": "media/whip_server.go",
        "LIVE_AI_PLAYBACK_HOST": "byoc/stream_gateway.go: with its scheme, without a slash",
        "LIVE_AI_WHEP_URL": "server/ai_mediaserver.go generateWhepUrl: with a slash at its end",
        "LIVE_AI_ALLOW_CORS": "server/ai_mediaserver.go",
    },
    "mediamtx": {"MTX_WEBRTCADDITIONALHOSTS": "webrtcAdditionalHosts of mediamtx.yml"},
    "stand-in": {"ORCH_SECRET": "composer/testing/gateway.py"},
}


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = loaded("compose.yaml")["services"]
    return found


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", text))


def seconds(text: str) -> float:
    assert text.endswith("s"), text
    return float(text.removesuffix("s"))


def test_the_worker_is_given_settings_that_there_are(services: dict[str, Any]) -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()}
    assert set(services["worker"]["environment"]) - known == set(ELSEWHERE)


def test_the_worker_takes_what_it_is_given(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    example = examples()
    for name, value in services["worker"]["environment"].items():
        filled = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: example[found[1]], str(value))
        monkeypatch.setenv(name, filled)
    made = Settings()
    assert made.orchestrator_urls == ("http://stand-in:9935",)
    assert made.url == "http://worker:8000"
    assert made.host == "0.0.0.0"
    assert {"stand-in", "orchestrator"} == set(made.hosts)


def examples() -> dict[str, str]:
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_has_an_example_and_every_example_is_used() -> None:
    used = set().union(*(variables((DEPLOY / name).read_text(encoding="utf-8")) for name in FILES))
    assert set(examples()) - COMPOSE == used


def test_every_example_is_explained() -> None:
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    groups = "\n".join(lines).split("\n\n")
    bare = [each for each in groups if "=" in each and not each.startswith("#")]
    assert bare == []


def test_streams_have_time_to_end_before_it_is_killed(services: dict[str, Any]) -> None:
    worker = services["worker"]
    drain = float(worker["environment"]["BYOC_DRAIN_S"])
    assert drain == Settings.model_fields["drain_s"].default
    assert seconds(worker["stop_grace_period"]) >= drain + 5


def test_the_worker_has_no_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    worker = services["worker"]
    assert worker["read_only"] is True
    assert worker["cap_drop"] == ["ALL"]
    assert worker["security_opt"] == ["no-new-privileges:true"]
    assert all(each.startswith("127.0.0.1:") for each in worker["ports"])
    mounted = loaded("compose.weights.yaml")["services"]["worker"]["volumes"]
    assert all(each.endswith(":ro") for each in (*worker.get("volumes", ()), *mounted))
    assert worker["networks"] == ["inner"]
    reaching = [name for name, each in services.items() if "inner" in each["networks"]]
    assert reaching == ["worker", "stand-in", "orchestrator"]


@pytest.mark.parametrize("name", FLAGS)
def test_flags_of_go_livepeer_are_ones_that_were_looked_up(
    name: str, services: dict[str, Any]
) -> None:
    given = [each.removeprefix("-").partition("=")[0] for each in services[name]["command"]]
    assert given == list(FLAGS[name])


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_of_the_others_are_ones_that_were_looked_up(
    name: str, services: dict[str, Any]
) -> None:
    assert list(services[name]["environment"]) == list(VARIABLES[name])


def test_the_profiles_share_the_worker_only(services: dict[str, Any]) -> None:
    profiles = {name: each.get("profiles") for name, each in services.items()}
    assert profiles == {
        "worker": None,
        "stand-in": ["local"],
        "orchestrator": ["network"],
        "gateway": ["network"],
        "mediamtx": ["network"],
    }
    assert examples()["COMPOSE_PROFILES"] == "local"


def test_mounted_files_are_there(services: dict[str, Any]) -> None:
    mounts = [each for service in services.values() for each in service.get("volumes", ())]
    files = [each.split(":")[0] for each in mounts if ".yml" in each]
    assert [(DEPLOY / each).is_file() for each in files] == [True]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"deploy/.env", "deploy/keystore/", "deploy/weights/"} <= set(ignored)


# what the page says


def words(value: Any, *, names: bool = False) -> Iterator[str]:
    """What a reader may ask about: keys, items of lists, flags without their values."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not names:
                yield str(key)
            yield from words(each, names=key in ("services",))
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, str):
                yield each.partition("=")[0] if re.match(r"-\w+=", each) else each
            else:
                yield from words(each)


def spoken(page: str) -> set[str]:
    """What stands in code spans: each whole, and its words."""
    spans = re.findall(r"`([^`\n]+)`", page)
    return set(spans) | {word for each in spans for word in re.split(r"[\s,{}\[\]]+|: |:$", each)}


@pytest.mark.parametrize("name", FILES)
def test_the_page_explains_every_line(name: str) -> None:
    said = spoken(PAGE.read_text(encoding="utf-8"))
    assert [each for each in dict.fromkeys(words(loaded(name))) if each not in said] == []


def test_the_page_has_a_part_for_every_service(services: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### `([\w-]+)`$", page, re.M) == list(services)


def test_the_page_speaks_of_no_flag_that_is_not_in_the_file_but_as_left_out() -> None:
    page = PAGE.read_text(encoding="utf-8")
    given = {f"-{flag}" for flags in FLAGS.values() for flag in flags}
    parts = re.findall(r"^Left out: .*?\n\n", page, re.M | re.S)
    left = set().union(*(flags(part) for part in parts))
    assert flags(page) - given - left == set()
    assert left & given == set()


def flags(text: str) -> set[str]:
    """Flags of go-livepeer in code spans: one dash, and more than a letter."""
    return {each.partition("=")[0] for each in re.findall(r"`(-[a-z]\w+[^`\s]*)`", text)}


def test_files_are_where_the_page_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"deploy/([\w.]+\.ya?ml|\.env\.example)", page))
    assert named == {"compose.yaml", "compose.gpu.yaml", ".env.example"}
    assert all((Path(DEPLOY) / each).is_file() for each in named)
