"""IsolatedExecution: the plan of a session at work in a process of its own."""

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any, Final

from composer.compiler.change import Change
from composer.compiler.plan import Plan
from composer.engine.account import Report
from composer.engine.notices import Happened, Notice
from composer.engine.params import Patch
from composer.errors import Overdue, ParamRejected, Problem, ProcessLost, Stalled
from composer.isolation import loss, messages
from composer.isolation.conduit import Conduit, Garbled
from composer.isolation.dialogue import Dialogue
from composer.isolation.messages import BEGUN, Order, Statement
from composer.isolation.mirror import Mirror
from composer.isolation.parcel import Parcel
from composer.isolation.process_data import ProcessData
from composer.isolation.process_input import ProcessInput
from composer.isolation.process_output import ProcessOutput
from composer.isolation.processes import Processes, SessionProcess
from composer.isolation.records import log_again
from composer.media.mpegts.written import Written
from composer.session import demand
from composer.session.execution import (
    Execution,
    Notified,
    Replacement,
    Surroundings,
    is_fed,
    outer,
    patched,
)
from composer.session.patience import came_within
from composer.weakly import weakly

log: Final = logging.getLogger(__name__)

LAST_WORDS_SECONDS: Final = 0.5
"""What a process that is not needed any more has to see that, and one that is told to end by
SIGABRT to write down where it was.
"""

MOST_UNSENT: Final = 16 * 1024 * 1024
"""Bytes of changes that the process has not taken."""

LOOK_SECONDS: Final = 1.0
"""How often its memory is looked at, where that has a limit."""


class ProcessState(Enum):
    """What there is of a process."""

    NEW = "new"  # nothing was begun
    BEGUN = "begun"  # it is there, and its run is or will be
    GIVEN_UP = "given up"  # it has been told to give up, or will be ended
    ENDED = "ended"  # its run is over, or there will be none


class IsolatedExecution(Execution):
    """One in a process of its own, which can be ended whatever its nodes do."""

    def __init__(
        self,
        processes: Processes,
        memory: int,
        plan: Plan,
        around: Surroundings,
        notify: Notified,
    ) -> None:
        """memory: bytes that the process may have, 0 for any number."""
        self._processes, self._memory = processes, memory
        self._around, self._notify = around, notify
        self._plan, self.demand = plan, demand.of(plan)
        fed = is_fed(plan, around.channels)
        self.ingress: ProcessInput | None = ProcessInput(around.now) if fed else None
        self.egress: ProcessOutput = ProcessOutput(around.now)
        self.data: ProcessData | None = None
        if around.channels.data:
            self.data = ProcessData(
                around.wake, partial(weakly(self._say, None), messages.SendData())
            )
        self._mirror = Mirror(plan, weakly(self._send_params, None))
        self._state = ProcessState.NEW
        self._failure: Exception | None = None
        self.process: SessionProcess | None = None
        """None before it has begun, and when it has ended."""
        self._dialogue: Dialogue | None = None
        self._conduit: Conduit | None = None
        self._attending: asyncio.Future[None] | None = None
        self._killed_for: ProcessLost | None = None
        self._alone = around.alone()
        self._after: messages.GoOn | None = None
        self._told: messages.Accounted | None = None
        self._account_count = 0

    # its life

    async def start(self) -> None:
        seconds = self._around.timing.setup
        try:
            async with asyncio.timeout(seconds):
                await self._start()
        except BaseException as exc:
            self.give_up()
            await self.close()
            if isinstance(exc, TimeoutError):
                raise Overdue(f"start took more than {seconds:g} s") from None
            raise

    async def _start(self) -> None:
        parcel = _parcel(self._plan)
        process = self.process = await self._processes.fork()
        if self._state is not ProcessState.NEW:
            raise Stalled("the run was given up before it began")
        self._state = ProcessState.BEGUN
        log.info("its process is %d", process.pid, extra={"session": self._around.session})
        dialogue = self._dialogue = Dialogue(process, weakly(self._heard, None))
        await dialogue.open()
        if self.ingress is not None:
            self._conduit = self.ingress.connect(process.media)
        self.egress.connect(process.media)
        self._attending = asyncio.ensure_future(self._attend(process, dialogue))
        self._mirror.running, version = True, self._mirror.version
        await dialogue.answer(dialogue.next_call(), self._order(parcel))
        self._applied(version, 0.0, {})

    def _order(self, parcel: Parcel) -> messages.Begin:
        around = self._around
        return messages.Begin(
            parcel,
            around.session,
            around.beside,
            self._alone,
            around.timing,
            self._mirror.asked(),
            takes_input=bool(around.channels.subscribe),
            gives_output=bool(around.channels.publish),
            gives_data=bool(around.channels.data),
            log_level=log.getEffectiveLevel(),
            memory=2 * self._memory,
            after=self._after,
        )

    async def prepare(self, plan: Plan, change: Change) -> Replacement:
        if self._dialogue is None or self._state is not ProcessState.BEGUN:
            raise Stalled("the run does not work")
        call = self._dialogue.next_call()
        await self._answer(call, messages.Prepare(call, _parcel(plan, change)))
        return _PreparedThere(self, plan, call)

    async def replace(self, plan: Plan, prepared: int, *, discard: bool) -> None:
        """What becomes of a plan that was prepared in a call. Raises NodeFailed and Stalled."""
        assert self._dialogue is not None
        call = self._dialogue.next_call()
        await self._answer(call, messages.Replace(call, prepared, discard))
        if not discard:
            self._plan, self.demand = plan, demand.of(plan)
            self._mirror = self._mirror.replaced(plan)

    async def _answer(self, call: int, order: Order) -> None:
        """Raises what the process does, and Stalled where it ends or takes too long."""
        assert self._dialogue is not None
        # The process gives up by itself after the same time.
        seconds = self._around.timing.change + LAST_WORDS_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self._dialogue.answer(call, order)
        except TimeoutError:
            raise Overdue(f"change took more than {seconds:g} s") from None

    async def go_on_after(self, written: Written | None, shift: int) -> None:
        if self._dialogue is None:  # it begins so
            self._after = messages.GoOn(BEGUN, written, shift)
            return
        call = self._dialogue.next_call()
        await self._answer(call, messages.GoOn(call, written, shift))

    def give_up(self) -> None:
        if self._state is ProcessState.NEW:
            self._over(None)
        elif self._state is ProcessState.BEGUN:
            self._state = ProcessState.GIVEN_UP
            self._say(messages.Abandon())
            loop = asyncio.get_running_loop()
            loop.call_later(self._around.timing.give_up / 2, self._end_by_force)

    def leave_behind(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    def end_input(self) -> None:
        if self.ingress is not None:
            self.ingress.end()
        else:
            self._say(messages.EndInput())

    async def close(self) -> None:
        """End the process, which has its run behind it or is to have none."""
        if (process := self.process) is None:
            return
        if self._dialogue is not None:
            self._dialogue.close()
        if self._state is not ProcessState.ENDED or self._dialogue is None:
            process.signal(signal.SIGKILL)
        if not await came_within(asyncio.shield(process.exited), LAST_WORDS_SECONDS):
            process.signal(signal.SIGKILL)
            await came_within(asyncio.shield(process.exited), LAST_WORDS_SECONDS)
        if self._attending is not None:
            await asyncio.wait({self._attending}, timeout=LAST_WORDS_SECONDS)
        if self._conduit is not None:
            self._conduit.close()
        self.egress.disconnect()
        self.process = None
        process.close()

    def _end_by_force(self) -> None:
        """It did not give up: let it write down where it is, and end it."""
        process = self.process
        if process is None or self._state is not ProcessState.GIVEN_UP:
            return
        self._killed_for = ProcessLost("its process did not end, and was killed", "hung")
        process.signal(signal.SIGABRT)
        loop = asyncio.get_running_loop()
        loop.call_later(LAST_WORDS_SECONDS, process.signal, signal.SIGKILL)

    async def _attend(self, process: SessionProcess, dialogue: Dialogue) -> None:
        """Hear all that a process says, and see it end."""
        watching = asyncio.ensure_future(self._watch_memory(process))
        try:
            await dialogue.listen()
        except Garbled as exc:
            message = f"its process said what nobody understands: {exc}"
            self._killed_for = ProcessLost(message, "garbled")
        finally:
            process.signal(signal.SIGKILL)  # it says nothing more, or nobody listens
            status = await process.exited
            await watching
            with contextlib.suppress(OSError):  # what it has begun may hold its end open
                process.media.shutdown(socket.SHUT_RD)
            if self._state is not ProcessState.ENDED:
                failure = self._killed_for or loss.of(status, process.box.node)
                loss.log(failure, process.box.stack, self._around.session)
                self._over(failure)

    async def _watch_memory(self, process: SessionProcess) -> None:
        """Until it has exited; end it where it has more than it may."""
        while not await came_within(asyncio.shield(process.exited), LOOK_SECONDS):
            if 0 < self._memory < process.memory():
                message = f"its process took more than {self._memory >> 20} MiB of memory"
                self._killed_for = self._killed_for or ProcessLost(message, "memory")
                process.signal(signal.SIGKILL)

    def _over(self, failure: Exception | None) -> None:
        """Its run is over; the first to say so counts."""
        if self._state is ProcessState.ENDED:
            return
        given_up = self._state is ProcessState.GIVEN_UP
        self._state, self._failure = ProcessState.ENDED, failure
        self._notify(self, Notice(Happened.ENDED))
        if self._dialogue is not None:
            self._dialogue.fail(failure)
            if given_up:
                self._dialogue.close()

    # what it says

    def _heard(self, statement: Statement) -> None:
        match statement:
            case messages.Accounted():
                self._tell(statement)
            case messages.Noticed():
                kind = Happened(statement.happened)
                notice = Notice(kind, statement.node, statement.said, statement.seconds)
                self._notify(self, notice)
            case messages.Applied():
                self._applied(statement.version, statement.seconds, statement.moving)
            case messages.Data() if self.data is not None:
                self.data.came(statement.lines)
            case messages.Logged():
                log_again(statement, self._around.session)
            case messages.RunEnded():
                self._over(statement.failure.exception() if statement.failure is not None else None)

    def _tell(self, told: messages.Accounted) -> None:
        self._told = told
        self._account_count += 1
        self._mirror.moving = told.moving
        self.egress.told(told.output, told.shift, told.written)
        if self.ingress is not None:
            self.ingress.told(told.input)
        if self.data is not None:
            self.data.told(told.data_dropped)
        if (alone := self._around.alone()) != self._alone:
            self._alone = alone
            self._say(messages.Company(alone))

    def _applied(self, version: int, seconds: float, moving: Mapping[str, float]) -> None:
        self._mirror.applied(version, seconds, moving)
        self._notify(self, Notice(Happened.APPLIED, seconds=seconds))

    # its params

    async def patch(self, values: Mapping[str, Any]) -> Patch:
        if self._dialogue is not None and self._dialogue.unsent > MOST_UNSENT:
            raise ParamRejected([Problem("too-many", "its process takes no changes now")])
        return await patched(lambda: self._mirror, values, self._around)

    def _send_params(self, version: int, values: Mapping[str, Any]) -> None:
        self._say(messages.SetParams(version, values))

    def values(self) -> dict[str, Any]:
        return outer(self._mirror.values())

    def asked(self) -> dict[str, Any]:
        return outer(self._mirror.asked())

    def moving(self) -> Mapping[str, float]:
        return self._mirror.moving

    def _say(self, order: Order) -> None:
        """Nothing, where there is no process yet: it begins with all that counts then."""
        if self._dialogue is not None:
            self._dialogue.say(order)

    # how it is

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def failure(self) -> Exception | None:
        return self._failure

    @property
    def expendable(self) -> bool:
        return True

    @property
    def account_count(self) -> int | None:
        return self._account_count

    def memory(self) -> int:
        return self.process.memory() if self.process is not None else 0

    def account(self) -> Report:
        """As of the last time that the process has told it."""
        return self._told.report if self._told is not None else Report({}, {}, 0.0, 0.0)

    def work(self) -> Mapping[str, int]:
        return self._told.work if self._told is not None else {}

    def inside(self) -> Mapping[str, int]:
        return self._told.inside if self._told is not None else {}

    def given(self, node: str) -> int:
        count = self.account().nodes.get(node)
        return count.given if count is not None else 0


class _PreparedThere(Replacement):
    """A plan that a process has prepared."""

    def __init__(self, execution: IsolatedExecution, plan: Plan, call: int) -> None:
        self._execution, self._plan, self._call = execution, plan, call

    async def apply(self) -> None:
        await self._execution.replace(self._plan, self._call, discard=False)

    async def discard(self) -> None:
        await self._execution.replace(self._plan, self._call, discard=True)


def _parcel(plan: Plan, *others: object) -> Parcel:
    """Raises Stalled."""
    try:
        return Parcel.of(plan, *others)
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        raise Stalled(f"it cannot run in a process of its own: {exc}") from exc
