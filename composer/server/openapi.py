"""The OpenAPI document of the worker, made from the bodies and the params of its pipelines."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from composer.engine.oneshot import FORMATS
from composer.server import bodies

_SCHEMAS: Final = "#/components/schemas/"

STREAM: Final = {
    "name": "X-Stream-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "the stream that is meant; needed when several run",
}

_MODELS: Final[tuple[type[BaseModel], ...]] = (
    bodies.Start,
    bodies.Started,
    bodies.Updated,
    bodies.Stopped,
    bodies.Refusal,
    bodies.Health,
    bodies.Probe,
    bodies.Reloaded,
    bodies.Version,
    bodies.AppVersion,
)


def document(
    offers: Iterable[tuple[str, str, Mapping[str, Any]]],
    version: str,
    *,
    token: bool,
    reloads: bool = False,
) -> dict[str, Any]:
    """offers: (capability, path, JSON Schema of its params). token: whether one is asked for.
    reloads: whether a changed file may be put in place.
    """
    _, schemas = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template=_SCHEMAS + "{model}"
    )
    components: dict[str, Any] = {"schemas": dict(schemas["$defs"])}
    offers = tuple(offers)
    paths: dict[str, Any] = _about("") if len(offers) > 1 else {}
    for name, path, params in offers:
        components["schemas"][f"Params-{name}"] = dict(params)
        paths |= _streams(name, path, _ref(f"Params-{name}"))
        if reloads:
            paths |= _reload(name, path)
    paths |= _jobs() | _process()
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "BYOC worker",
            "version": version,
            "description": "Live video pipelines behind the Livepeer BYOC contract.",
        },
        "paths": paths,
        "components": components,
    }
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def _streams(name: str, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
    start = _call(
        f"Start a stream of {name}",
        _json(_ref("Start")),
        {200: "Started", 400: "Refusal", 409: "Refusal", 422: "Refusal"},
        {500: "Refusal", 503: "Refusal", 504: "Refusal"},
    )
    change = _call(
        f"Change params of a stream of {name}",
        _json(params),
        {200: "Updated", 400: "Refusal", 404: "Refusal", 422: "Refusal"},
        {503: "Refusal"},
        parameters=[STREAM],
    )
    stop = _call(
        f"Stop a stream of {name}; doing it again does nothing",
        {"required": False, "content": {"*/*": {}}},
        {200: "Stopped", 400: "Refusal"},
        {503: "Refusal"},
        parameters=[STREAM],
    )
    status = _call(f"The state of every stream of {name}", None, {200: ""})
    found: dict[str, Any] = {}
    for prefix in (path, path + "/api"):
        found |= {
            f"{prefix}/stream/start": {"post": start},
            f"{prefix}/stream/params": {"post": change},
            f"{prefix}/stream/stop": {"post": stop},
            f"{prefix}/stream/status": {"get": status},
        }
    found[f"{path}/live-video-to-video"] = {"post": start}
    return found | _about(path)


def _about(path: str) -> dict[str, Any]:
    """What a pipeline says of itself, and a worker of several says of them all, without a path."""
    return {
        f"{path}/capability": {"get": _open("What this capability takes and gives", "")},
        f"{path}/health": {"get": _open("Whether it is ready, and busy", "Health")},
        f"{path}/version": {"get": _open("Which software this is", "Version")},
    }


def _reload(name: str, path: str) -> dict[str, Any]:
    call = _call(
        f"Put the file of {name} as it is now in the place of what runs",
        None,
        {200: "Reloaded", 422: "Refusal", 503: "Refusal"},
    )
    return {f"{path}/reload": {"post": call}}


def _jobs() -> dict[str, Any]:
    """One-shot jobs: what goes in and comes out is a file of one of many kinds."""
    size = [_parameter("width", "path", _SIZE), _parameter("height", "path", _SIZE)]
    name = _parameter("pipeline", "path", {"type": "string"}, "the pipeline; else it is the first")
    return {
        "/process": {"post": _job([*_ASKED, *_SIZE_ASKED])},
        "/process/{pipeline}": {"post": _job([name, *_ASKED, *_SIZE_ASKED])},
        "/process/{width}x{height}": {"post": _job([*size, *_ASKED])},
        "/process/{pipeline}/{width}x{height}": {"post": _job([name, *size, *_ASKED])},
    }


def _job(parameters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    call = _call(
        "Run a pipeline once on a picture, on packed RGB24, or on a short clip",
        {"required": False, "content": {"*/*": {}}},
        {400: "Refusal", 404: "Refusal", 422: "Refusal"},
        {500: "Refusal", 503: "Refusal", 504: "Refusal"},
        parameters=parameters,
    )
    answers = call["responses"]
    answers["404"]["description"] = "there is no such pipeline"
    answers["500"]["description"] = "a node failed"
    answers["200"] = {
        "description": "the result; X-Metadata says what it is. Nothing for an empty body",
        "headers": {"X-Metadata": {"schema": {"type": "string"}}},
        "content": {"*/*": {}, "text/event-stream": {"schema": {"type": "string"}}},
    }
    return call


def _parameter(name: str, place: str, schema: Mapping[str, Any], said: str = "") -> dict[str, Any]:
    described = {"description": said} if said else {}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": dict(schema),
        **described,
    }


_SIZE: Final = {"type": "integer", "minimum": 1, "maximum": 99_999}

_SIZE_ASKED: Final = (
    _parameter("width", "query", _SIZE, "of packed RGB24; comes with height"),
    _parameter("height", "query", _SIZE, "of packed RGB24; comes with width"),
)

_ASKED: Final = (
    _parameter(
        "format", "query", {"type": "string", "enum": list(FORMATS)}, "as the input without it"
    ),
    _parameter("params", "query", {"type": "string"}, "params of the pipeline, as a JSON object"),
    _parameter(
        "seconds",
        "query",
        {"type": "number", "exclusiveMinimum": 0, "default": 5},
        "how much a pipeline without an input makes",
    ),
    _parameter(
        "stream", "query", {"type": "boolean", "default": False}, "answer as a stream of events"
    ),
)
"""What the query of a job may say; the body may say the same (docs/process.md)."""


def _process() -> dict[str, Any]:
    return {
        "/ready": {"get": _probe("Whether streams may start")},
        "/live": {"get": _probe("Whether the work of every stream is fresh")},
        "/app-version": {"get": _open("Which version this is", "AppVersion")},
        "/hardware/info": {"get": _open("The GPUs of this machine", "")},
        "/hardware/stats": {"get": _open("How busy they are", "")},
        "/metrics": {"get": _text("Figures for Prometheus")},
        "/openapi.json": {"get": _open("This document", "")},
    }


def _call(
    said: str,
    body: Mapping[str, Any] | None,
    answers: Mapping[int, str],
    more: Mapping[int, str] | None = None,
    parameters: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    refused = dict.fromkeys((401, 403, 408, 413, 415, 421, 429), "Refusal")
    known = {**answers, **(more or {}), **refused}
    made: dict[str, Any] = {
        "summary": said,
        "responses": {str(status): _answer(status, model) for status, model in known.items()},
    }
    if body is not None:
        made["requestBody"] = dict(body)
    if named := [dict(each) for each in parameters]:
        made["parameters"] = named
    return made


def _open(said: str, model: str) -> dict[str, Any]:
    """A call that needs no token."""
    return {"summary": said, "security": [], "responses": {"200": _answer(200, model)}}


def _probe(said: str) -> dict[str, Any]:
    call = _open(said, "Probe")
    call["responses"]["503"] = {**_answer(200, "Probe"), "description": "no; `why` says it"}
    return call


def _text(said: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": said,
        "security": [],
        "responses": {"200": {"description": said, "content": content}},
    }


_SAID: Final = {
    200: "done",
    400: "the body cannot be read",
    401: "the token is wrong",
    403: "without a token: a page of another site asks",
    404: "no such stream runs",
    409: "the stream runs already",
    408: "the body has not come in time",
    413: "the body is too large, or holds too many values",
    415: "the body is of no kind that is known",
    421: "without a token: the worker is not known by that name",
    422: "a value is wrong: one problem per field",
    429: "a wrong token, or a change, came too often; Retry-After says when to try again",
    500: "a node could not be set up",
    503: "no room, or not ready; Retry-After says when to ask again",
    504: "a node hangs; the work is given up",
}


def _answer(status: int, model: str) -> dict[str, Any]:
    schema: Mapping[str, Any] = _ref(model) if model else {"type": "object"}
    return {"description": _SAID[status], "content": {"application/json": {"schema": schema}}}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _ref(model: str) -> dict[str, Any]:
    return {"$ref": _SCHEMAS + model}
