"""What is said between two processes comes as it was meant, and nothing else is listened to."""

import asyncio
import pickle
from collections import Counter

import pytest

from composer.engine.account import EdgeCount, Histogram, NodeCount, Report
from composer.isolation import messages
from composer.isolation.conduit import Garbled
from composer.isolation.failure import Failure
from composer.isolation.messages import (
    LONGEST_STATEMENT,
    Accounted,
    Answered,
    Applied,
    Data,
    InputAccount,
    Logged,
    Noticed,
    Order,
    RunEnded,
    Statement,
)
from composer.isolation.parcel import Parcel
from composer.media.mpegts.written import Written
from composer.session.egress import EgressCount
from composer.session.timing import Timing
from tests.server.streams import ran

WORK = Histogram()
WORK.add(0.003)
NODE = NodeCount(
    taken=3, lost_tracks=["x"], dropped=Counter(node=1), work=WORK, about={"model": {"a": [1]}}
)
TOLD = Accounted(
    report=Report({"blur": NODE}, {"a.image -> blur.image": EdgeCount(3, 2)}, 1.5, 1.25),
    work={"blur": 2},
    inside={"blur": 3},
    moving={"level": 0.5},
    input=InputAccount(waiting=2, video_at=1.5, units=Counter(video=3), unreadable=["0x06"]),
    output=EgressCount(10, Counter(video=3), 1, Counter(full=1)),
    shift=3,
    written=Written("h264", last={"video": 9000}, turns={256: 3}),
    data_dropped=Counter(too_long=1),
)
FAILURE = Failure(kind="node", message="no", cause="KeyError", node="blur", doing="setup()")


def read(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "said",
    [
        Answered(call=0, failure=FAILURE),
        Answered(call=1),
        Noticed(happened="error", node="blur", said="no", seconds=1.5),
        Applied(version=3, seconds=1.5, moving={"level": 0.25}),
        TOLD,
        Data(lines='[{"a": "é"}]\n'),
        Logged(logger="a", level=30, message="no", about={"pts": 1.5}, error=None),
        RunEnded(failure=None),
    ],
    ids=lambda said: said.kind,
)
def test_what_a_process_says(said: Statement) -> None:
    async def test() -> None:
        data = messages.written(said)
        reader = read(data * 2)
        assert await messages.hear(reader) == (said, len(data) - 4)
        assert await messages.hear(reader) == (said, len(data) - 4)
        assert await messages.hear(reader) is None

    ran(test)


@pytest.mark.parametrize(
    "order",
    [
        messages.Begin(
            Parcel((), b"x"),
            "cam",
            1,
            alone=True,
            timing=Timing(),
            params={"level": 0.5},
            takes_input=True,
            gives_output=True,
            gives_data=False,
            log_level=20,
            memory=0,
            after=messages.GoOn(0, Written("h264", turns={256: 3}), 5),
        ),
        messages.SetParams(1, {"level": "x" * 10_000_000}),
        messages.Abandon(),
    ],
    ids=lambda order: type(order).__name__,
)
def test_what_a_worker_wants(order: Order) -> None:
    async def test() -> None:
        reader = read(messages.ordered(order))
        assert await messages.obey(reader) == order
        assert await messages.obey(reader) is None

    ran(test)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param((LONGEST_STATEMENT + 1).to_bytes(4, "little"), id="too long"),
        pytest.param(b"\x02\0\0\0{}", id="of no kind"),
        pytest.param(b"\x10\0\0\0" + b"[" * 16, id="no JSON"),
        pytest.param(b"\x14\0\0\0" + pickle.dumps([1, 2, 3])[:20].ljust(20), id="a pickle"),
    ],
)
def test_nonsense_is_not_listened_to(data: bytes) -> None:
    async def test() -> None:
        with pytest.raises(Garbled):
            await messages.hear(read(data))

    ran(test)


def test_a_message_that_breaks_off_is_the_end() -> None:
    async def test() -> None:
        assert await messages.hear(read(messages.written(TOLD)[:-1])) is None

    ran(test)
