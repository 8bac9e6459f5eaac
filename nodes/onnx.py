"""Run an ONNX model on the picture."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from composer import BadSetting, Context, Fixed, WeightsFile
from composer.models import onnxfile, weights
from composer.models.engine import Engine, ModelFailed
from composer.models.model import Model
from composer.models.onnxfile import OnnxInvalid, Signature
from composer.models.ort import OrtModel, OrtSettings


class Onnx(Model):
    """Run an ONNX model on the picture: detect, segment, classify, restyle, whatever it does.

    Its inputs and outputs become ports by what `takes`, `post` and `gives` say; what is not said
    follows from the shapes and the metadata of the file. All sessions of a process share one copy.

    A picture goes in scaled and converted in one step, and detections and masks come out in parts
    of the whole picture, whatever `fit` did to it.
    """

    devices = ("cpu", "cuda")
    needs = ("onnxruntime",)

    model: str = WeightsFile(
        description="the .onnx file: a path, or https://, hf://, pypi://, npm://"
    )
    sha256: str = Fixed("", description="what the file must be; needed for all but a path")
    providers: list[Literal["cpu", "cuda", "tensorrt"]] = Fixed(
        default_factory=list, description="where it may run, in order; else what `device` says"
    )
    threads: int = Fixed(0, ge=0, le=256, description="threads of one call; 0 for all cores")
    engine_cache: str = Fixed("", description="folder in which TensorRT keeps what it built")

    def signature(self, folder: Path) -> Signature | None:
        try:
            path = weights.locate(self._weights, folder)
        except weights.WeightsMissing:
            return None  # the graph says so, where that is a problem
        try:
            found = onnxfile.read_file(path)
            onnxfile.check(found, path.parent)
        except OnnxInvalid as exc:
            raise BadSetting(("model",), f"{self._weights.name} cannot be used: {exc}") from exc
        return found

    def key(self, ctx: Context) -> Hashable:
        path = weights.verify(self._weights, ctx.folder)
        at = path.stat()
        return ("onnx", str(path), at.st_mtime_ns, at.st_size, self._running(ctx))

    def load(self, ctx: Context) -> Engine:
        data = weights.read(self._weights, ctx.folder)
        path = weights.locate(self._weights, ctx.folder)
        try:
            found = onnxfile.read(data)
            onnxfile.check(found, path.parent)
        except OnnxInvalid as exc:
            raise ModelFailed(f"{self._weights.name} cannot be used: {exc}") from exc
        # With weights in files beside it, ONNX Runtime must know where it lies.
        return OrtModel(str(path) if found.external else data, found, self._running(ctx))

    @property
    def _weights(self) -> weights.Weights:
        return weights.parse(self.model, self.sha256)

    def _running(self, ctx: Context) -> OrtSettings:
        engines = str(ctx.path(self.engine_cache)) if self.engine_cache else ""
        return OrtSettings(ctx.device, tuple(self.providers), self.threads, engines)
