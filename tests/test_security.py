"""SECURITY.md: the limits that it states are those of the code."""

import re
from collections.abc import Sequence

import pytest

from composer import strictjson
from composer.compiler import includes, scope
from composer.engine import params
from composer.engine.oneshot import JobLimits
from composer.media import live_reader
from composer.media.mpegts import demuxer, pes, units
from composer.models import weights
from composer.pipeline import source
from composer.server import application, routes, tries, worker
from composer.session import budget, control, data_lines, egress, events, ingress, readers
from composer.trickle import client, framing, subscriber
from tests.clips import ROOT
from tests.server.streams import ran, serving

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
JOB = JobLimits()

LIMITS: dict[str, Sequence[float]] = {
    "body of a start, of params, of a stop": [application.MOST_BODY / MIB],
    "wrong tokens of one address, addresses that are remembered": [
        tries.MOST,
        tries.SECONDS,
        tries.PEERS,
    ],
    "params in one change": [control.MOST_PARAMS],
    "nesting of a param": [strictjson.MOST_DEPTH],
    "changes that wait for their frame": [params.PENDING],
    "one message of control": [subscriber.LONGEST_MESSAGE / MIB],
    "input that waits for the decoder": [ingress.MOST_BYTES / MIB, ingress.MOST_UNITS],
    "CPU to read an input and take it apart": [
        budget.CPU_SHARE * 100,
        budget.CPU_RESERVE * 1000,
    ],
    "media that comes in while there are other sessions": [budget.PACE, budget.RESERVE_SECONDS],
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
    "file of a job, its answer": [JOB.input_bytes / MIB, JOB.output_bytes / MIB],
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
    seconds = re.findall(r"has to come in (\d+) seconds", PAGE)
    assert seconds == [f"{routes.BODY_SECONDS:.0f}"] == [f"{worker.HEAD_SECONDS:.0f}"]


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
