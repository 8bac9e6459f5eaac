"""What an operator sets: one model, read once, from flags and from the environment.

Names in the environment are those of the ecosystem where there is one (contract 7.4), else BYOC_*.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from composer import limits
from composer.errors import SettingsInvalid
from composer.limits import WireLimits
from composer.pipeline.spec import first_error
from composer.trickle.host import Host

_KEPT_SECRET: Final = ("ORCH_SECRET", "CAPABILITY_TOKEN")
"""Taken out of the environment once they are read: nodes and what they start need not see them."""

AUTO: Final = "auto"
"""Among hosts of channels: those of the orchestrators."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""What no HTTP header can have (RFC 9110, 5.5)."""


class Settings(BaseSettings):
    """Settings of `byoc serve`. A flag wins over the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", alias="BYOC_HOST", description="address to listen on")
    port: int = Field(8000, alias="BYOC_PORT", ge=0, le=65535, description="port; 0 for a free one")
    metrics_port: int | None = Field(
        None,
        alias="BYOC_METRICS_PORT",
        ge=0,
        le=65535,
        description="port for /metrics alone, there with the figures of each stream; 0 for a free"
        " one",
    )
    capacity: int = Field(
        1, alias="CAPABILITY_CAPACITY", ge=1, le=1000, description="streams at once, all together"
    )
    token: SecretStr = Field(
        SecretStr(""),
        alias="CAPABILITY_TOKEN",
        description="bearer token that callers show; several with commas between them",
    )
    names: str = Field(
        "",
        alias="BYOC_NAMES",
        description="further names of this worker, with commas between them: without a token it"
        " answers to no other, so that no web page can call it",
    )
    name: str = Field(
        "",
        alias="CAPABILITY_NAME",
        max_length=100,
        description="capability of the only pipeline; else the file says",
    )
    description: str = Field(
        "", alias="CAPABILITY_DESCRIPTION", description="what orchestrators are told about it"
    )
    url: str = Field(
        "",
        alias="CAPABILITY_URL",
        description="address of this worker as orchestrators reach it",
    )
    price_per_unit: int = Field(
        0, alias="CAPABILITY_PRICE_PER_UNIT", ge=0, description="price of a second, scaled"
    )
    price_scaling: int = Field(
        1, alias="CAPABILITY_PRICE_SCALING", ge=1, description="what that is divided by"
    )
    currency: str = Field(
        "", alias="CAPABILITY_CURRENCY", description="wei (also when empty), eth, or USD"
    )
    orchestrators: str = Field(
        "", alias="ORCH_URL", description="orchestrators to register at, with commas between them"
    )
    orch_secret: SecretStr = Field(
        SecretStr(""), alias="ORCH_SECRET", description="what they want to hear to register"
    )
    pipelines: str = Field(
        "",
        alias="BYOC_PIPELINES",
        description="pipeline files where none is named, with commas between them",
    )
    pipeline: str = Field("byoc", alias="PIPELINE", description="name in /version")
    verify_tls: bool = Field(
        default=True,
        alias="BYOC_VERIFY_TLS",
        description="refuse certificates that nobody vouches for; orchestrators sign their own",
    )
    ca_file: str = Field(
        "", alias="BYOC_CA_FILE", description="certificates to trust beside the system's"
    )
    trickle_hosts: str = Field(
        "",
        alias="BYOC_TRICKLE_HOSTS",
        description="hosts where channels may be, each perhaps with a port (host:443,"
        " [::1]:3389) or a scheme, with commas between them; auto: those of the orchestrators;"
        " empty for anywhere public, and with no orchestrator for anywhere",
    )
    loading_s: float = Field(
        20.0,
        alias="BYOC_LOADING_S",
        ge=0,
        le=100,
        description="seconds that a start waits while the worker loads",
    )
    reload: bool = Field(
        default=False,
        alias="BYOC_RELOAD",
        description="let POST /reload put a changed file in place; it needs a token",
    )
    drain_s: float = Field(
        20.0, alias="BYOC_DRAIN_S", ge=0, le=600, description="seconds that streams have to end"
    )
    limits: str = Field(
        "",
        alias="BYOC_LIMITS",
        description="sizes and times of what comes in that are not the usual ones, with commas"
        " between them (start=4M, body_s=10)",
    )
    input_s: float = Field(
        30.0,
        alias="BYOC_INPUT_S",
        ge=3,
        le=3600,
        description="seconds that a stream may send nothing that its pipeline can use",
    )
    memory_mib: int = Field(
        0,
        alias="BYOC_MEMORY_MIB",
        ge=0,
        description="MiB that this worker may take; 0 for as many as its container or machine has",
    )
    isolation: Literal["", "none", "process"] = Field(
        "",
        alias="BYOC_ISOLATION",
        description="process: each stream's graph in a process of its own; none: all in the"
        " worker's; empty: as each pipeline says",
    )
    session_memory_mib: int = Field(
        0,
        alias="BYOC_SESSION_MEMORY_MIB",
        ge=0,
        le=1_000_000,
        description="MiB of memory after which a stream is ended that has a process of its own;"
        " 0 for any number",
    )
    state: str = Field(
        "",
        alias="BYOC_STATE",
        description="folder to keep the streams in, so that the next process goes on with them;"
        " empty for nowhere",
    )
    resume_s: float = Field(
        60.0,
        alias="BYOC_RESUME_S",
        ge=0,
        le=3600,
        description="seconds for which a process may be gone whose streams go on",
    )
    upgrade_s: float = Field(
        120.0,
        alias="BYOC_UPGRADE_S",
        ge=1,
        le=3600,
        description="seconds that a new process has to get ready, at an upgrade",
    )
    log: Literal["text", "json"] = Field(
        "text", alias="BYOC_LOG", description="how the log is written: text or json"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        """Files and shells leave a newline at the end of what they hold."""
        if not isinstance(value, str):
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("should be UTF-8") from None
        return value.strip()

    @field_validator("token", "orch_secret")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        if found := _CONTROL.search(value.get_secret_value()):
            raise ValueError(f"holds U+{ord(found[0]):04X}, which no HTTP header can have")
        return value

    @field_validator("url", "orchestrators")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for each in _listed(value):
            _check_address(each)
        return value.rstrip("/")

    @field_validator("trickle_hosts", "names")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for each in _listed(value):
            try:
                Host.parse(each)
            except ValueError as exc:
                raise ValueError(f"has {each!r}, which {exc}") from None
        return value

    @field_validator("limits")
    @classmethod
    def _limits(cls, value: str) -> str:
        limits.read(value)
        return value

    @model_validator(mode="after")
    def _learned(self) -> "Settings":
        if AUTO in _listed(self.trickle_hosts) and not self.orchestrators:
            said = f"--trickle-hosts (BYOC_TRICKLE_HOSTS) {AUTO} needs --orchestrators (ORCH_URL)"
            raise ValueError(said)
        return self

    @model_validator(mode="after")
    def _guarded(self) -> "Settings":
        if self.reload and not self.token.get_secret_value():
            raise ValueError("to reload by HTTP, --token (CAPABILITY_TOKEN) is needed, too")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> "Settings":
        if not self.orchestrators:
            return self
        needed = {"url": self.url, "orch_secret": self.orch_secret.get_secret_value()}
        missing = [each for each, value in needed.items() if not value]
        if missing:
            said = " and ".join(f"{flag(n)} ({Settings.model_fields[n].alias})" for n in missing)
            raise ValueError(f"to register at an orchestrator, {said} is needed, too")
        return self

    @property
    def tokens(self) -> tuple[str, ...]:
        return _listed(self.token.get_secret_value())

    @property
    def known_names(self) -> tuple[str, ...]:
        """What callers without a token may call this worker."""
        own = (self.host, URL(self.url).raw_host or "")
        return (*(each for each in own if each), *_listed(self.names))

    @property
    def secrets(self) -> dict[str, str]:
        """What was taken out of the environment, by its names there: another process needs it."""
        values = {"ORCH_SECRET": self.orch_secret, "CAPABILITY_TOKEN": self.token}
        return {name: value.get_secret_value() for name, value in values.items()}

    @property
    def files(self) -> tuple[str, ...]:
        return _listed(self.pipelines)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts where channels may be, those of the orchestrators among them for AUTO."""
        hosts = [each for each in _listed(self.trickle_hosts) if each != AUTO]
        if len(hosts) < len(_listed(self.trickle_hosts)):
            hosts += [URL(each).raw_host or "" for each in self.orchestrator_urls]
        return tuple(dict.fromkeys(hosts))

    @property
    def wire(self) -> WireLimits:
        """What may come in."""
        return limits.read(self.limits)

    @property
    def orchestrator_urls(self) -> tuple[str, ...]:
        return tuple(each.rstrip("/") for each in _listed(self.orchestrators))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))


def _check_address(written: str) -> None:
    """Raises ValueError for an address that others cannot be reached at, with a path behind it."""
    if not written.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    try:
        url = URL(written)
    except ValueError:
        raise ValueError("should be an address") from None
    if not Host.of(url).exists:
        raise ValueError("should name a host")
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("should hold no user, no ? and no #")


def load(flags: Mapping[str, Any]) -> Settings:
    """The settings of this process. flags: field -> value, None for one that was not given.

    Raises SettingsInvalid.
    """
    fields = Settings.model_fields
    given = {str(fields[name].alias): value for name, value in flags.items() if value is not None}
    try:
        made = Settings(**given)
    except ValidationError as exc:
        raise SettingsInvalid(_said(exc)) from None
    finally:
        for name in _KEPT_SECRET:
            os.environ.pop(name, None)
    return made


def _said(exc: ValidationError) -> str:
    error = exc.errors(include_url=False)[0]
    alias = str(error["loc"][0]) if error["loc"] else ""
    name = next((n for n, each in Settings.model_fields.items() if each.alias == alias), "")
    if not name:
        return str(error["msg"]).removeprefix("Value error, ")
    if alias in _KEPT_SECRET:
        said = str(error["msg"]).removeprefix("Value error, ")
        said = said if error["type"] == "value_error" else "cannot be used"
        return f"{flag(name)} ({alias}) {said}"  # never what it is
    return f"{flag(name)} ({alias}){first_error(exc)}"


def flag(name: str) -> str:
    """--price-per-unit for price_per_unit."""
    return "--" + name.replace("_", "-")
