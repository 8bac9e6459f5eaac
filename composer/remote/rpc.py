"""The Open Inference Protocol over gRPC, through the client that Triton publishes.

Tensors always travel as bytes here (ModelInferRequest.raw_input_contents); an answer may have them
as lists, too. Source: specification/protocol/inference_grpc.md of kserve/open-inference-protocol.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from numpy.typing import NDArray

from composer.remote import v2
from composer.remote.link import BODY_BYTES, Deadline, Endpoint
from composer.remote.transport import Broken, Failed

INSTALL: Final = "pip install 'tritonclient[grpc]'"

OPTIONS: Final = (
    ("grpc.max_receive_message_length", BODY_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # else http_proxy of the environment counts
    ("grpc.enable_retries", 0),
    # gRPC asks a server that was gone again after 1 s, then ever more seldom, up to 2 minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

LISTS: Final[Mapping[str, str]] = {
    "bool": "bool_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "object": "bytes_contents",
}
"""dtype -> the field of InferTensorContents that holds it; there is none for float16."""

T = TypeVar("T")


class Rpc:
    """One model of one server."""

    def __init__(self, place: Endpoint, model: str, version: str, token: str) -> None:
        """Raises ImportError if tritonclient or gRPC is not installed."""
        self._triton: Final = _tritonclient()
        self._client: Final = self._triton.InferenceServerClient(
            str(place), channel_args=list(OPTIONS)
        )
        self._model: Final = {"model_name": model, "model_version": version}
        self._headers: Final = {"authorization": f"Bearer {token}"} if token else {}

    def ready(self, deadline: Deadline) -> bool:
        try:
            return bool(self._ask(self._client.is_model_ready, deadline))
        except _Unknown:
            return False

    def metadata(self, deadline: Deadline) -> v2.Metadata:
        said = self._ask(self._client.get_model_metadata, deadline)
        return v2.Metadata(_values(said.inputs), _values(said.outputs), said.platform)

    def infer(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str], deadline: Deadline
    ) -> dict[str, NDArray[Any]]:
        sent = [self._input(name, array) for name, array in inputs.items()]
        wanted = [self._triton.InferRequestedOutput(name) for name in outputs] or None
        result = self._ask(self._client.infer, deadline, inputs=sent, outputs=wanted)
        return answer(result.get_response())

    def close(self) -> None:
        self._client.close()

    def _input(self, name: str, array: NDArray[Any]) -> Any:
        sent = self._triton.InferInput(name, list(array.shape), v2.datatype_of(name, array))
        # set_data_from_numpy() pickles elements that are no bytes; this is what it would store
        sent._raw_content = bytes(v2.as_bytes(name, array))
        return sent

    def _ask(self, call: Callable[..., T], deadline: Deadline, **more: Any) -> T:
        try:
            return call(
                **self._model, **more, headers=self._headers, client_timeout=deadline.left()
            )
        except self._triton.InferenceServerException as exc:
            raise _failure(exc) from exc
        except ValueError as exc:  # a channel that another thread has closed meanwhile
            raise Failed(v2.shown(str(exc))) from exc


class _Unknown(Failed):
    """The server does not know the model."""


def _tritonclient() -> Any:
    try:
        return importlib.import_module("tritonclient.grpc")
    except RuntimeError as exc:  # its way to say that it was installed without [grpc]
        raise ImportError(str(exc)) from exc


def _failure(exc: Any) -> Exception:
    """exc: an InferenceServerException; its status is "StatusCode.UNAVAILABLE" or the like."""
    code = str(exc.status() or "").removeprefix("StatusCode.")
    words = v2.shown(str(exc.message() or ""))
    said = f"{code}: {words}" if words else code
    if code == "DEADLINE_EXCEEDED":
        return TimeoutError(said)
    if code == "UNAVAILABLE":
        return Broken(said)
    return _Unknown(said) if code == "NOT_FOUND" else Failed(said)


def _values(described: Any) -> tuple[v2.RemoteValue, ...]:
    return v2.described(
        v2.checked(each.name, each.datatype, list(each.shape), lowest=-1) for each in described
    )


def answer(response: Any) -> dict[str, NDArray[Any]]:
    """The outputs of a ModelInferResponse. Raises Unreadable as v2.answer() does."""
    raw = response.raw_output_contents
    values = v2.described(
        v2.checked(each.name, each.datatype, list(each.shape)) for each in response.outputs
    )
    if not raw:
        lists = (each.contents for each in response.outputs)
        return {
            value.name: v2.from_list(value, _list(value, contents))
            for value, contents in zip(values, lists, strict=True)
        }
    if len(raw) != len(values):
        raise v2.Unreadable(f"{len(values)} outputs are described, {len(raw)} are there")
    return {value.name: v2.from_bytes(value, data) for value, data in zip(values, raw, strict=True)}


def _list(value: v2.RemoteValue, contents: Any) -> list[Any] | None:
    field = LISTS.get(value.dtype)
    return None if field is None else list(getattr(contents, field))
