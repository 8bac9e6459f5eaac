"""Bodies as Livepeer spells them (contract 2). Every answer and every body that is read is here."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from composer.errors import Problem


class Start(BaseModel):
    """POST /stream/start. Keys that are not known are left alone, an empty address is none."""

    model_config = ConfigDict(extra="ignore")

    gateway_request_id: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="id of the stream, as in X-Stream-Id",
    )
    control_url: str = Field("", max_length=2048, description="trickle channel to obey")
    events_url: str = Field("", max_length=2048, description="trickle channel for events")
    subscribe_url: str = Field("", max_length=2048, description="trickle channel of the input")
    publish_url: str = Field("", max_length=2048, description="trickle channel for the output")
    data_url: str = Field("", max_length=2048, description="trickle channel for data")
    params: Any = Field(None, description="params of the pipeline; null is none")

    @field_validator(
        "control_url", "events_url", "subscribe_url", "publish_url", "data_url", mode="before"
    )
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return "" if value is None else value


class ProblemBody(BaseModel):
    """One thing wrong with a request."""

    code: str
    field: str = Field(description="dotted path of what is wrong")
    message: str
    hint: str = ""


class Refusal(BaseModel):
    """Any answer of 400 and above."""

    status: Literal["error"] = "error"
    message: str
    problems: list[ProblemBody] = []


class Current(BaseModel):
    """The state of one stream and the params in effect."""

    state: str
    graph: str = Field(description="hash of the graph that runs")
    params: dict[str, Any]


class Started(BaseModel):
    """200 of POST /stream/start."""

    status: Literal["success"] = "success"
    message: str
    request_id: str
    current_state: Current


class Updated(BaseModel):
    """200 of POST /stream/params."""

    status: Literal["success"] = "success"
    message: str
    request_id: str
    params: dict[str, Any] = Field(description="what every param is set to, with this change")
    pts_seconds: float | None = Field(
        description="time of the first frame it holds for; null: none has come yet, or a node is"
        " built anew first"
    )


class Reloaded(BaseModel):
    """200 of POST /reload."""

    status: Literal["success"] = "success"
    outcome: Literal["patched", "rebuilt", "unchanged"]
    nodes: list[str] = Field(description="nodes that were patched or built anew")
    changed: list[str] = Field(description="files that were written since the last time")
    milliseconds: float


class Stopped(BaseModel):
    """200 of POST /stream/stop."""

    status: Literal["success"] = "success"
    message: str
    request_id: str = ""
    reason: str | None = None


class Health(BaseModel):
    """GET /health."""

    status: Literal["LOADING", "IDLE", "OK", "ERROR"]


class Probe(BaseModel):
    """GET /ready and GET /live."""

    ok: bool
    why: str = Field("", description="what is wrong, or what there is too little of")


class Version(BaseModel):
    """GET /version."""

    pipeline: str
    model_id: str
    version: str


class AppVersion(BaseModel):
    """GET /app-version."""

    version: str


def problem(found: Problem) -> ProblemBody:
    return ProblemBody(code=found.code, field=found.at, message=found.message, hint=found.hint)
