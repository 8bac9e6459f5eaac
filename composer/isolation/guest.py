"""Guest: the run of one session, from inside the process that it has for itself.

It has an execution as a worker has one, in threads, and hands on what goes in and comes out. When
the worker says nothing any more, it is gone.
"""

import asyncio
import logging
import os
import resource
import socket
from collections import Counter, deque
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Final

from composer import logs
from composer.engine import loading
from composer.engine.notices import Happened, Notice
from composer.engine.params import Patch
from composer.errors import ParamRejected
from composer.isolation import messages
from composer.isolation.arrivals import Arrivals
from composer.isolation.blackbox import Recorder
from composer.isolation.conduit import MARK, Conduit
from composer.isolation.failure import Failure, shortened
from composer.isolation.messages import BEGUN, Begin, InputAccount, Order, Statement
from composer.isolation.records import RecordQueue
from composer.session.channels import Channels
from composer.session.crossing import to_loop
from composer.session.egress import Cut
from composer.session.execution import (
    Execution,
    Replacement,
    Surroundings,
    ThreadedExecution,
)
from composer.session.ingress import Ingress
from composer.session.patience import came_within
from composer.threads import Places

log: Final = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5
"""How often it says how it is, and looks after its input."""

MOST_UNHEARD: Final = 1024 * 1024
"""Bytes that wait for the worker: what can be done without is left out then."""

MISTAKE: Final = 70
"""The exit code where something here is wrong."""

_SOMEWHERE: Final = "http://worker.invalid"
"""Stands for the channels of the session: their addresses are secrets that nobody needs here."""


def main(control: int, media: int, box: int) -> int:
    """Run one session to its end; gives the exit code. All three are open files: a socket for
    messages, one for media, and the memory of a BlackBox.
    """
    recorder = Recorder(box)
    recorder.watch()
    logs.note_with(recorder.where)
    try:
        asyncio.run(_main(socket.socket(fileno=control), socket.socket(fileno=media)))
    except Exception:
        log.exception("the process of a session made a mistake")
        return MISTAKE
    return 0


async def _main(control: socket.socket, media: socket.socket) -> None:
    control.setblocking(False)  # noqa: FBT003 - it takes no name
    reader, writer = await asyncio.open_unix_connection(sock=control)
    speech = Speech(writer)
    order = await messages.obey(reader)
    if isinstance(order, messages.Rehearse):
        await _rehearse(order, speech)
        await messages.obey(reader)
    elif isinstance(order, Begin):
        await _Guest(order, speech, media).live(reader)


async def _rehearse(order: messages.Rehearse, speech: "Speech") -> None:
    failure = None
    try:
        (plan,) = order.parcel.opened()
        await Places().loads.run(None, loading.load, [plan])
    except Exception as exc:  # noqa: BLE001 - a node's module may raise anything
        failure = Failure.of(exc)
    speech.say(messages.Answered(call=BEGUN, failure=failure))


class Speech:
    """What this process says to the worker, and its log. Used on the loop, but for the log."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._records = RecordQueue(to_loop(self._log))
        root = logging.getLogger()
        root.handlers = [self._records]
        root.setLevel(logging.INFO)
        logging.captureWarnings(capture=True)

    def say(self, statement: Statement, *, needless: bool = False) -> None:
        """needless: whether it is left out where the worker does not listen."""
        if needless and self._writer.transport.get_write_buffer_size() > MOST_UNHEARD:
            return
        self._writer.write(messages.written(statement))

    def _log(self) -> None:
        for record in self._records.pop_all():
            self.say(record, needless=True)


class _Guest:
    def __init__(self, begin: Begin, speech: Speech, media: socket.socket) -> None:
        self._begun, self._speech, self._media = begin, speech, media
        self._conduit, self._alone = Conduit(media), begin.alone
        self._patches: deque[tuple[int, Patch]] = deque()
        self._prepared: dict[int, Replacement] = {}
        self._setting = asyncio.Lock()
        self._answered, self._over = asyncio.Event(), asyncio.Event()
        self._data_waits, self._data_room = asyncio.Event(), asyncio.Event()
        self._data_room.set()

    async def live(self, reader: asyncio.StreamReader) -> None:
        """Until the worker says nothing any more."""
        logs.enter(self._begun.session)
        logging.getLogger().setLevel(self._begun.log_level)
        if memory := self._begun.memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        try:
            execution = await self._made()
        except Exception as exc:  # noqa: BLE001 - a node's module may raise anything
            self._speech.say(messages.Answered(call=BEGUN, failure=Failure.of(exc)))
            await messages.obey(reader)  # there is nothing but the end to come
            return
        async with asyncio.TaskGroup() as group:
            works = (self._start, self._tell, self._give_output, self._give_data, self._finish)
            for work in works:
                group.create_task(work(execution))
            while (order := await messages.obey(reader)) is not None:
                if (task := self._obeyed(execution, order)) is not None:
                    group.create_task(task)
            os._exit(0)  # its nodes may hang, and nobody is there to wait for them

    async def _start(self, execution: ThreadedExecution) -> None:
        await self._attempt(BEGUN, execution.start())
        self._answered.set()

    async def _made(self) -> ThreadedExecution:
        """Raises whatever a node's module does."""
        begin = self._begun
        (plan,) = begin.parcel.opened()
        around = Surroundings(
            begin.session,
            Channels(
                subscribe=_SOMEWHERE if begin.takes_input else "",
                publish=_SOMEWHERE if begin.gives_output else "",
                data=_SOMEWHERE if begin.gives_data else "",
            ),
            begin.beside,
            lambda: self._alone,
            to_loop(self._data_waits.set),
            Places(),
            begin.timing,
        )
        execution = ThreadedExecution(plan, around, to_loop(self._noticed))
        await execution.patch(begin.params)
        if (after := begin.after) is not None:
            await execution.go_on_after(after.written, after.shift)
        if execution.ingress is not None:
            ended = to_loop(execution.end_input)
            execution.ingress.attach(Arrivals(self._media, execution.ingress.gap, ended))
        return execution

    # what the worker wants

    def _obeyed(
        self, execution: ThreadedExecution, order: Order
    ) -> Coroutine[Any, Any, None] | None:
        """What is left to do of an order, if anything."""
        match order:
            case messages.SetParams():
                return self._set(execution, order)
            case messages.Prepare():
                return self._attempt(order.call, self._prepare(execution, order))
            case messages.Replace():
                return self._attempt(order.call, self._replace(order))
            case messages.GoOn():
                return self._attempt(order.call, execution.go_on_after(order.written, order.shift))
            case messages.EndInput():
                execution.end_input()
            case messages.Company():
                self._alone = order.alone
            case messages.Abandon():
                execution.give_up()
            case messages.SendData():
                self._data_room.set()
        return None

    async def _set(self, execution: ThreadedExecution, order: messages.SetParams) -> None:
        async with self._setting:  # in the order in which they came
            try:
                self._patches.append((order.version, await execution.patch(order.values)))
            except ParamRejected as exc:
                log.warning("a change that was accepted is not made: %s", exc)

    async def _attempt(self, call: int, work: Awaitable[None]) -> None:
        failure: Failure | None = None
        try:
            await work
        except Exception as exc:  # noqa: BLE001 - a node's module may raise anything
            failure = Failure.of(exc)
        self._speech.say(messages.Answered(call=call, failure=failure))

    async def _prepare(self, execution: ThreadedExecution, order: messages.Prepare) -> None:
        plan, change = order.parcel.opened()
        self._prepared[order.call] = await execution.prepare(plan, change)

    async def _replace(self, order: messages.Replace) -> None:
        replacement = self._prepared.pop(order.prepared)
        if order.discard:
            await replacement.discard()
            return
        await replacement.apply()
        self._patches.clear()  # the params are those of another plan now

    # what it says

    def _noticed(self, execution: Execution, notice: Notice) -> None:
        match notice.kind:
            case Happened.ENDED:
                self._over.set()
            case Happened.APPLIED:
                self._applied(execution.moving())
            case kind:
                noticed = messages.Noticed(
                    happened=kind.value,
                    node=notice.node,
                    said=shortened(notice.said),
                    seconds=notice.seconds,
                )
                self._speech.say(noticed, needless=kind is Happened.ERROR)

    def _applied(self, moving: Mapping[str, float]) -> None:
        """Say how far the changes have come."""
        newest: tuple[int, float] | None = None
        while self._patches and (seconds := self._patches[0][1].seconds) is not None:
            newest = self._patches.popleft()[0], seconds
        if newest is not None:
            version, seconds = newest
            self._speech.say(messages.Applied(version=version, seconds=seconds, moving=moving))

    async def _tell(self, execution: ThreadedExecution) -> None:
        """Say now and then how it is, until it has ended."""
        while not await came_within(self._over.wait(), TICK_SECONDS):
            if execution.ingress is not None:
                execution.ingress.tend()
            self._speech.say(_told(execution), needless=True)

    async def _give_output(self, execution: ThreadedExecution) -> None:
        """Hand on what comes out: at once, in the thread that has it, while nothing waits."""
        conduit = self._conduit
        while (item := await execution.egress.read(conduit.offer)) is not None:
            conduit.send(MARK if isinstance(item, Cut) else item)
            await conduit.cleared()
        conduit.end()

    async def _give_data(self, execution: ThreadedExecution) -> None:
        """Hand on what waits, when the worker has room for it."""
        data = execution.data
        while data is not None:
            self._data_waits.clear()
            if lines := data.take():
                self._data_room.clear()
                self._speech.say(messages.Data(lines=lines.decode()))
                await self._data_room.wait()
            else:
                await self._data_waits.wait()

    async def _finish(self, execution: ThreadedExecution) -> None:
        """Hand on all that is left when the run is over, and say so."""
        await self._answered.wait()
        await self._over.wait()
        while execution.data is not None and (lines := execution.data.take()):
            self._speech.say(messages.Data(lines=lines.decode()))
        self._speech.say(_told(execution))
        failure = None if execution.failure is None else Failure.of(execution.failure)
        self._speech.say(messages.RunEnded(failure=failure))
        execution.egress.end()


def _told(execution: ThreadedExecution) -> messages.Accounted:
    data = execution.data
    return messages.Accounted(
        report=execution.account(),
        work=execution.work(),
        inside=execution.inside(),
        moving=execution.moving(),
        input=_input(execution.ingress) if execution.ingress is not None else InputAccount(),
        output=execution.egress.counts,
        shift=execution.egress.shift,
        written=execution.egress.written(),
        data_dropped=data.dropped if data is not None else Counter(),
    )


def _input(ingress: Ingress) -> InputAccount:
    counts = ingress.counts
    return InputAccount(
        waiting=ingress.waiting,
        given_at=ingress.given_at,
        video_at=ingress.fed_at("video"),
        audio_at=ingress.fed_at("audio"),
        parsed=ingress.parsed,
        overdrawn=ingress.overdrawn,
        tracks=ingress.tracks,
        unreadable=ingress.unreadable,
        unread=counts.unread,
        units=counts.units,
        dropped=counts.dropped,
    )
