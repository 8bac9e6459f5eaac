"""Run a model that another program serves."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from composer import BadSetting, Batching, Context, Fixed, Node
from composer.models.engine import Engine, ModelFailed
from composer.models.model import Model
from composer.models.onnxfile import Signature, Value
from composer.remote import inference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from composer.device.lanes import Lane
    from composer.remote.inference import RemoteValue, ServedModel


class RemoteModel(Model):
    """Run a model that Triton, KServe, MLServer or another server has, over the Open Inference
    Protocol (V2, REST with binary tensors; gRPC where tritonclient is installed).

    `takes`, `post` and `gives` mean the same as for a model of our own, so a graph can move from
    one to the other. The server gathers batches itself. A call that fails or takes too long follows
    `on_error`.
    """

    shared: ClassVar[bool] = False
    warms: ClassVar[bool] = False  # the server does that, and may be busy just now
    batches: ClassVar[bool] = False

    url: str = Fixed(description="http://host:port, https:// or grpc://")
    model: str = Fixed(description="the name the server knows it by")
    version: str = Fixed("", description="one of its versions; the server's choice if left out")
    timeout_ms: float = Fixed(
        1000, gt=0, le=60_000, description="for a whole call, retries included"
    )
    retries: int = Fixed(
        1, ge=0, le=10, description="after a lost connection, 429, 502, 503 or 504"
    )
    token_env: str = Fixed(
        "", description="variable of the environment that holds a token; sent as Bearer"
    )

    def shaped(self, folder: Path, batch: Batching) -> Node:
        try:
            self._client().close()
        except inference.RemoteInvalid as exc:
            raise BadSetting(("url",), str(exc)) from exc
        if self.post == "detections" and not self.head:
            raise BadSetting(("post",), "it takes a `head:` that says how they are read")
        return super().shaped(folder, batch)

    def key(self, ctx: Context) -> Hashable:
        # Every node asks for itself: taking turns would add up the times on the way.
        return ("remote", id(self))

    def load(self, ctx: Context) -> Engine:
        client = self._client()
        try:
            return _Remote(client, list(self.takes), self.url)
        except BaseException:
            client.close()
            raise

    def _client(self) -> ServedModel:
        token = os.environ.get(self.token_env, "") if self.token_env else ""
        return inference.ServedModel(
            self.url,
            self.model,
            self.version,
            timeout=self.timeout_ms / 1000,
            retries=self.retries,
            token=token,
        )


class _Remote:
    """The server's model as an Engine."""

    def __init__(self, client: ServedModel, takes: Sequence[str], url: str) -> None:
        """Raises RemoteFailed where the server cannot be asked what the model takes."""
        self._client, self._url = client, url
        self.warmed: set[Hashable] = set()
        self.logits: set[str] = set()
        found = client.metadata()
        self._platform = found.platform
        self.signature = _signature(found.inputs, found.outputs, takes)

    @property
    def about(self) -> Mapping[str, Any]:
        return {"engine": self._platform or "Open Inference Protocol", "server": self._url}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        found = self._client.infer(feeds, [name for name in outputs if name])
        # An output that nobody named is the first one.
        return found if "" not in outputs else {**found, "": next(iter(found.values()))}

    @property
    def lane(self) -> Lane:
        raise ModelFailed("a server elsewhere has no lane here")

    def run_there(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        raise ModelFailed("tensors of a device cannot be sent; they are brought to the host first")

    def close(self) -> None:
        self._client.close()


def _signature(
    inputs: Sequence[RemoteValue], outputs: Sequence[RemoteValue], takes: Sequence[str]
) -> Signature:
    """Servers may say nothing of what a model takes; then the file has to name it."""
    if not inputs and not takes:
        raise ModelFailed("the server does not say what the model takes; name it in `takes:`")
    given = tuple(map(_value, inputs)) or tuple(Value(name, "", None) for name in takes)
    return Signature(given, tuple(map(_value, outputs)))


def _value(remote: RemoteValue) -> Value:
    """-1 stands for what is open, and an empty shape of several numbers for nothing said."""
    shape = tuple("" if extent < 0 else extent for extent in remote.shape)
    return Value(remote.name, remote.dtype, shape or None)
