"""SECURITY.md: the limits that it states are those of the code."""

import re
from collections.abc import Sequence

import pytest

from composer import errors, lines, loglimits, strictjson, threads
from composer.compiler import includes, scope
from composer.engine import instance, params
from composer.engine.oneshot import JobLimits
from composer.isolation import dialogue, messages, records
from composer.limits import WireLimits
from composer.media import containers, live_reader
from composer.media.mpegts import demuxer, pes, units
from composer.models import weights
from composer.pipeline import source
from composer.server import descriptors, door, tries, worker
from composer.session import budget, changes, control, data_lines, egress, events, ingress, readers
from composer.session.timing import Timing
from composer.trickle import client, framing, subscriber
from tests.clips import ROOT
from tests.server.streams import ran, serving

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
JOB = JobLimits()

WIRE = WireLimits()

LIMITS: dict[str, Sequence[float]] = {
    "body of a start, of params": [WIRE.start / MIB],
    "body of a stop, of a reload": [WIRE.stop / KIB],
    "values in one JSON": [WIRE.values],
    "JSON that is read in the worker itself": [WIRE.at_once / KIB],
    "reading one JSON elsewhere: time, memory": [WIRE.parse_s, WIRE.parse_memory / MIB],
    "bodies of one kind that come at once": [WIRE.bodies],
    "all bodies and messages that wait": [WIRE.waiting / MIB],
    "wrong tokens of one address, addresses that are remembered": [
        tries.MOST,
        tries.SECONDS,
        tries.PEERS,
    ],
    "params in one change": [control.MOST_PARAMS],
    "nesting of a param": [strictjson.MOST_DEPTH],
    "changes that wait for their frame": [params.PENDING],
    "one message of control": [WIRE.control / MIB],
    "input that waits for the decoder": [ingress.MOST_BYTES / MIB, ingress.MOST_UNITS],
    "CPU to read an input and take it apart": [
        budget.CPU_SHARE * 100,
        budget.CPU_RESERVE * 1000,
    ],
    "media that comes in while there are other sessions": [budget.PACE, budget.RESERVE_SECONDS],
    "changes of a stream by requests": [
        changes.ASKED_A_SECOND,
        changes.ASKED_AT_ONCE,
        changes.LONGEST_TURN,
    ],
    "segments, messages of control that are asked for": [
        subscriber.MOST_SEGMENTS,
        readers.MOST_MESSAGES,
        subscriber.RESERVE_SECONDS,
    ],
    "chunks in one read, interim answers": [framing.MOST_CHUNKS, client.MOST_INTERIM],
    "tables of a stream that differ from those before": [
        demuxer.MOST_CHANGES,
        1,
        demuxer.CHANGE_BYTES / KIB,
    ],
    "one PES packet of sound": [(pes.LONGEST_SOUND_PES - 5) / KIB],
    "one picture or block of sound, coded": [max(pes.LONGEST_PES, units.LONGEST_UNIT) / MIB],
    "NAL units in one picture": [live_reader.MOST_NALS],
    "picture of a stream": [4096, live_reader.MOST_PIXELS / 4096],
    "output that waits for the network": [egress.LIMIT_BYTES / MIB],
    "events that wait": [events.MOST],
    "items of data that wait": [data_lines.ITEMS],
    "one record of the log, its traceback": [
        loglimits.MOST_CHARACTERS,
        loglimits.MOST_TRACEBACK,
    ],
    "records of the log of a stream": [loglimits.BURST, loglimits.LINES_PER_SECOND],
    "log that waits for a reader": [lines.MOST_BYTES / MIB],
    "what an exception says, where it is told": [errors.MOST_WORDS],
    "what a node says of itself": [instance.MOST_ABOUT / KIB],
    "check of params by a node's own code": [Timing().check],
    "what may be opened or read and says nothing": [containers.SILENCE_SECONDS],
    "threads that hang before a restart is asked for": [threads.RESTART_AT],
    "connections, descriptors kept for what runs": [door.MOST_CONNECTIONS, descriptors.RESERVE],
    "one message of a stream's process, what is heard of it in a second": [
        messages.LONGEST_STATEMENT / KIB,
        dialogue.MOST_MESSAGES,
        dialogue.MOST_BYTES / MIB,
    ],
    "records of its log in a second": [records.MOST_A_SECOND],
    "JSON of a job, its file, its answer": [
        WIRE.job / MIB,
        JOB.input_bytes / MIB,
        JOB.output_bytes / MIB,
    ],
    "picture, clip of a job": [JOB.pixels, JOB.media_seconds, JOB.pictures],
    "work of a job": [JOB.seconds],
    "pipeline file": [source.MAX_BYTES / KIB, source.MAX_NODES, source.MAX_DEPTH],
    "graph": [scope.MAX_NODES, includes.MAX_DEPTH],
    "file of weights": [weights.MAX_BYTES / GIB],
}
"""What each row of the table is about -> its numbers, in the units of the row."""


def rows() -> dict[str, list[float]]:
    """The rows of the table of limits, with the numbers in them."""
    table = PAGE.partition("| limit | |\n|---|---|\n")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return {what: [float(number) for number in re.findall(r"\d+", text)] for what, text in cells}


def test_the_table_has_every_limit_and_no_other() -> None:
    assert list(rows()) == list(LIMITS)


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_is_that_of_the_code(what: str) -> None:
    assert rows()[what] == list(LIMITS[what])


def test_the_time_of_heads_and_bodies_is_that_of_the_code() -> None:
    seconds = re.findall(r"has to come in (\d+) seconds, that of a job in (\d+)", PAGE)
    assert seconds == [(f"{WIRE.body_s:.0f}", f"{WIRE.file_s:.0f}")]
    assert worker.HEAD_SECONDS == WIRE.body_s
    assert (WIRE.params, WIRE.reload, WIRE.file) == (WIRE.start, WIRE.stop, JOB.input_bytes)


def test_what_asks_for_no_token_is_what_the_page_says() -> None:
    sentence = PAGE.partition("Without a token")[2].partition("never ask for one")[0]
    said = set(re.findall(r"`(/[\w.-]+)`", sentence))

    async def test() -> None:
        async with serving(tokens=("token",)) as stage:
            _, document = await stage.get("/openapi.json")
            free = set()
            for path, methods in document["paths"].items():
                for method in methods:
                    address = stage.worker.address + re.sub(r"\{\w+\}", "1", path)
                    async with stage.http.request(method, address) as answer:
                        free |= {path} if answer.status != 401 else set()
            assert {f"/{path.split('/')[1]}" for path in free} == said

    ran(test)
