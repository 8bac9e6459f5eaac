"""Run a PyTorch model on the picture."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final, Literal

from composer import BadSetting, Batching, Context, Fixed, Node, WeightsFile
from composer.models import stored, torchmodel, weights
from composer.models.engine import Engine, ModelFailed
from composer.models.model import Model
from composer.models.onnxfile import Signature, Value
from composer.models.torchmodel import Precision, TorchModel, Tuning
from composer.models.weights import Weights, WeightsMissing
from composer.node.registry import NotFound, load_class, locate, names_class

EXPORTED: Final = (".pt2",)
PICKLED: Final = (".pt", ".pth", ".pkl", ".bin", ".ckpt")


class Torch(Model):
    """Run a PyTorch model on the picture. There are three ways to name one.

    `model: ./net.py:Net` is a class in the pipeline's folder, and `weights:` its numbers as
    safetensors, npz or a state_dict, which run nothing. `model: net.pt2` is what
    torch.export.save() wrote, and says what it takes; `model: net.pt` is TorchScript. Both are
    code, since PyTorch runs what they hold: they need `trust: code` and a sha256.

    It runs in evaluation and inference mode. All sessions of a process share one copy.
    """

    devices = ("cpu", "cuda")
    needs = ("torch",)

    model: str = WeightsFile(description="net.pt2, ./net.py:Net, or TorchScript; path or address")
    weights: str = WeightsFile("", description="numbers for a class: safetensors, npz, state_dict")
    sha256: str = Fixed("", description="what the file must be; .pt2 and TorchScript need it")
    trust: Literal["", "code"] = Fixed(
        "", description="code: a .pt2 or TorchScript may run what it holds"
    )
    arguments: dict[str, Any] = Fixed(
        default_factory=dict, description="what the class is made with, by name"
    )
    precision: Precision = Fixed("float32", description="what it computes in")
    channels_last: bool = Fixed(default=False, description="memory order that convolutions like")
    compile: bool = Fixed(default=False, description="torch.compile; without it where it fails")
    cuda_graph: bool = Fixed(
        default=False, description="record each shape once on CUDA; without it where it fails"
    )

    def shaped(self, folder: Path, batch: Batching) -> Node:
        if names_class(self.model):
            self._check_class(folder)
        else:
            self._check_file()
        self._check_stored(folder)
        if self.post == "detections" and not self.head:
            raise BadSetting(("post",), "it takes a `head:` that says how they are read")
        return super().shaped(folder, batch)

    def key(self, ctx: Context) -> Hashable:
        files = [each for each in (self._code(ctx.folder), self._file(ctx.folder)) if each]
        seen = tuple((str(each), each.stat().st_mtime_ns, each.stat().st_size) for each in files)
        return ("torch", self.model, seen, repr(sorted(self.arguments.items())), self._tuning(ctx))

    def load(self, ctx: Context) -> Engine:
        tuning = self._tuning(ctx)
        if not names_class(self.model):
            data = weights.read(self._stored, ctx.folder)
            if Path(self._stored.name).suffix in EXPORTED:
                module, signature = torchmodel.exported(data, ctx.device)
                return TorchModel(module, signature, tuning, "export")
            module = torchmodel.scripted(data)
            return TorchModel(module, self._by_position(), tuning, "script")
        try:
            cls = load_class(ctx.folder, self.model)
        except NotFound as exc:
            raise ModelFailed(str(exc)) from exc
        found = {}
        if self.weights:
            suffix = Path(self._stored.name).suffix
            found = torchmodel.tensors(weights.read(self._stored, ctx.folder), suffix)
        module = torchmodel.built(cls, self.arguments, found)
        return TorchModel(module, self._by_position(), tuning, "class")

    @property
    def _stored(self) -> Weights:
        return weights.parse(self.weights or self.model, self.sha256)

    def _file(self, folder: Path) -> Path | None:
        if names_class(self.model) and not self.weights:
            return None
        return weights.verify(self._stored, folder)

    def _code(self, folder: Path) -> Path | None:
        return locate(folder, self.model.rpartition(":")[0]) if names_class(self.model) else None

    def _tuning(self, ctx: Context) -> Tuning:
        return Tuning(ctx.device, self.precision, self.channels_last, self.compile, self.cuda_graph)

    def _by_position(self) -> Signature:
        """A module takes its inputs in the order of `takes`, one picture where that is empty."""
        return Signature(tuple(Value(name, "", None) for name in self.takes or ("image",)))

    def _check_file(self) -> None:
        suffix = Path(self._stored.name).suffix
        if self.weights:
            raise BadSetting(("weights",), "only a class takes weights", "name it in `model`")
        if self.arguments:
            raise BadSetting(("arguments",), "only a class is made with arguments")
        if suffix == ".safetensors":
            said = "safetensors hold weights, and no model"
            raise BadSetting(("model",), said, "write `model: ./net.py:Net` and this as `weights:`")
        if suffix not in (*EXPORTED, *PICKLED):
            said = f"{self._stored.name} is no model: it should end in .pt2, or be ./net.py:Net"
            raise BadSetting(("model",), said)
        kind = "an exported program" if suffix in EXPORTED else "TorchScript"
        if self.trust != "code":
            said = f"{kind} is code, and a file of weights needs its class"
            if suffix in EXPORTED:
                said = f"{kind} is code: PyTorch runs what it holds"
            hint = "write `trust: code` if you trust whoever made it, or name a class and weights"
            raise BadSetting(("model",), said, hint)
        if not self._stored.sha256:
            raise BadSetting(("model",), f"{kind} is code: it needs a `sha256:`")

    def _check_stored(self, folder: Path) -> None:
        """Whether the file is what it should be, and holds nothing that would run."""
        if names_class(self.model) and not self.weights:
            return
        try:
            path = weights.locate(self._stored, folder)
        except WeightsMissing:
            return  # the graph says so, where that is a problem
        field = "weights" if self.weights else "model"
        try:
            if field == "model" and Path(self._stored.name).suffix in PICKLED:
                if not stored.is_script(path):
                    said = (
                        f"{self._stored.name} is no TorchScript; a file of weights needs its class"
                    )
                    hint = "write `model: ./net.py:Net` and this as `weights:`"
                    raise BadSetting(("model",), said, hint)
                return
            stored.check(path, Path(self._stored.name).suffix)
        except stored.StoredInvalid as exc:
            raise BadSetting((field,), f"{self._stored.name} cannot be used: {exc}") from exc

    def _check_class(self, folder: Path) -> None:
        """Whether the file has the class and its forward() what `takes` names, without torch."""
        file, _, name = self.model.rpartition(":")
        try:
            text = locate(folder, file).read_bytes()
        except NotFound as exc:
            raise BadSetting(("model",), str(exc), exc.hint) from exc
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as exc:
            raise BadSetting(("model",), f"{file}: {exc}") from exc
        found = [each for each in tree.body if isinstance(each, ast.ClassDef)]
        cls = next((each for each in found if each.name == name), None)
        if cls is None:
            known = ", ".join(each.name for each in found)
            hint = f"it has {known}" if known else ""
            raise BadSetting(("model",), f"{file} has no class {name!r}", hint)
        if self.weights and Path(self._stored.name).suffix not in (
            *PICKLED,
            ".safetensors",
            ".npz",
        ):
            said = f"{self._stored.name} is no file of weights: safetensors, npz or a state_dict"
            raise BadSetting(("weights",), said)
        forward = next((each for each in cls.body if _is_forward(each)), None)
        if isinstance(forward, ast.FunctionDef):
            _check_arguments(forward, list(self.takes))


def _is_forward(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef) and statement.name == "forward"


def _check_arguments(forward: ast.FunctionDef, takes: list[str]) -> None:
    names = [each.arg for each in forward.args.args][1:]
    needed = names[: len(names) - len(forward.args.defaults)]
    for name in takes:
        if name not in names:
            hint = f"it takes {', '.join(names)}"
            raise BadSetting(("takes", name), f"forward() has no argument {name!r}", hint)
    if takes and takes != names[: len(takes)]:
        said = f"should be in the order of forward(): {', '.join(names)}"
        raise BadSetting(("takes",), said)
    given = takes or names[:1]
    missing = [name for name in needed if name not in given]
    if missing:
        said = f"forward() also takes {', '.join(missing)}"
        raise BadSetting(("takes",), said, f"write `takes: {{{needed[0]}: {{}}, ...}}`")
