"""Self-test: some made pictures and a tone through a pipeline as in a session, but no network."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from composer.compiler.compile import Compiled, compile_file, plan_of, ready
from composer.compiler.plan import Mode, Plan
from composer.engine import loading
from composer.engine.account import Report
from composer.engine.run import Media, Run
from composer.node.formats import Kind
from composer.node.registry import Registry
from composer.node.roles import Role, playing
from composer.session.egress import Egress
from composer.session.ingress import Ingress
from composer.threads import Threads

FPS: Final = 30

_CLIP: Final = """\
version: 1
nodes:
  source: {{type: test_source, width: 640, height: 360, fps: {fps}, duration: {seconds}, tone: 440}}
  out:    {{type: encode, codec: h264, preset: ultrafast}}
"""

GIVE_UP_SECONDS: Final = 300.0
"""How long it may take: a model that runs on the CPU for want of a GPU is slow, and not broken."""


@dataclass(frozen=True)
class Tried:
    """What became of the pictures. problem: "" when all is well. bytes: of MPEG-TS that came out.

    sent: pictures that were given. coded: pictures that came out of an encoder, None where the
    pipeline has none.
    """

    problem: str
    sent: int
    coded: int | None
    bytes: int
    seconds: float
    report: Report


def run(compiled: Compiled, installed: Registry, frames: int) -> Tried:
    """Give a pipeline some pictures. Raises PipelineInvalid, and NodeFailed for a node that cannot
    be set up.
    """
    ready(compiled)
    plan = plan_of(compiled, Mode.LIVE)
    loading.load([plan])  # pictures go by a model that is still loading
    data = _clip(installed, frames) if playing(plan.steps, Role.INPUT) else b""
    return asyncio.run(_tried(plan, data, frames))


def _clip(installed: Registry, frames: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="byoc-") as name:
        file, made = Path(name, "clip.yaml"), Path(name, "clip.ts")
        file.write_text(_CLIP.format(fps=FPS, seconds=frames / FPS), encoding="utf-8")
        made_by = Run(plan_of(compile_file(file, installed)), Media(sinks={"": str(made)}))
        made_by.start()
        made_by.wait()
        return made.read_bytes()


async def _tried(plan: Plan, data: bytes, frames: int) -> Tried:
    ingress = Ingress() if data else None
    egress = Egress()
    lines: list[str] = []
    media = Media(seconds=frames / FPS, ingress=ingress, egress=egress, data=lines.append)
    began = time.monotonic()
    work = Run(plan, media)
    reading = asyncio.ensure_future(_read(egress))
    try:
        report = await Threads("selftest", 1).run(None, _worked, work, ingress, data)
    finally:
        egress.end()
        size = await reading
    coded = egress.counts.packets["video"] if _encodes(plan) else None
    return Tried(_problem(report, coded), frames, coded, size, time.monotonic() - began, report)


def _worked(work: Run, ingress: Ingress | None, data: bytes) -> Report:
    work.start()
    if ingress is not None:
        ingress.put(data)
        ingress.end()
    if not work.done.wait(GIVE_UP_SECONDS):
        work.abort()
    return work.wait()


async def _read(egress: Egress) -> int:
    size = 0
    while (item := await egress.read()) is not None:
        size += len(item) if isinstance(item, bytes) else 0
    return size


def _encodes(plan: Plan) -> bool:
    """Whether pictures go to what writes the output."""
    outputs = playing(plan.steps, Role.OUTPUT).values()
    return any(taken.kind is Kind.PICTURE for step in outputs for taken in step.inputs.values())


def _problem(report: Report, coded: int | None) -> str:
    failed = {name: count.errors for name, count in report.nodes.items() if count.errors}
    if failed:
        said = ", ".join(f"{name} on {count}" for name, count in failed.items())
        return f"nodes failed on frames: {said}"
    if coded == 0:
        return "no picture came out"
    if report.seconds >= GIVE_UP_SECONDS:
        return f"it took more than {GIVE_UP_SECONDS:g} s"
    return ""
