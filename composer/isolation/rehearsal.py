"""Rehearsal: whether a process could load what a plan needs, seen before a session needs one."""

import asyncio
import signal

from composer.compiler.plan import Plan
from composer.isolation import loss, messages
from composer.isolation.dialogue import Dialogue
from composer.isolation.messages import Statement
from composer.isolation.parcel import Parcel
from composer.isolation.processes import Processes, SessionProcess


async def rehearse(processes: Processes, plan: Plan) -> None:
    """Raises NodeFailed where a model cannot be loaded, and ProcessLost where that ends a process;
    Stalled where there is none.
    """
    process = await processes.fork()
    dialogue = Dialogue(process, _unheard)
    await dialogue.open()
    listening = asyncio.ensure_future(dialogue.listen())
    order = messages.Rehearse(Parcel.of(plan))
    answer = asyncio.ensure_future(dialogue.answer(dialogue.next_call(), order))
    try:
        await asyncio.wait({answer, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await _lost(process)
        await answer
    finally:
        answer.cancel()
        process.signal(signal.SIGKILL)
        await process.exited
        await asyncio.gather(answer, listening, return_exceptions=True)
        dialogue.close()
        await asyncio.sleep(0)  # a connection is closed in the next turn of the loop
        process.close()


async def _lost(process: SessionProcess) -> None:
    """Raises ProcessLost."""
    status = await process.exited
    failure = loss.of(status, process.box.node)
    loss.log(failure, process.box.stack, "")
    raise failure


def _unheard(statement: Statement) -> None:
    """What it says meanwhile is of no session."""
