"""What a session says of an input that nothing comes of, and how long it waits for another one."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import av
import pytest

from composer.session import input_check, watchdog
from composer.session.ingress import IngressCount
from composer.session.status import State, state_of, status_of
from composer.session.timing import Timing
from composer.testing.orchestrator import event_of
from tests.media import transport
from tests.server.streams import PASS, QUICK, clip_bytes, numbers, pieces, ran, serving
from tests.session.test_watch import Playing, playing, segments, sound

TEXT = b"Entry not found\n" * 20
NOISE = bytes(range(128, 256)) * 20
DATA = "nodes: {source: {type: decode}, look: {type: collect}}"
"""Has no output, and wants pictures all the same."""


@cache
def large() -> bytes:
    """A transport stream of pictures that are larger than what is decoded."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mpegts") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 4112, 2192, "yuv420p"
        stream.gop_size = 1
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(4112, 2192, "yuv420p")))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@asynccontextmanager
async def taking(text: str = PASS) -> AsyncIterator[Playing]:
    async with playing(text, opened=True) as stage:
        yield stage


async def looked(stage: Playing, count: int = 1) -> str:
    """What is said after some looks, each behind some seconds; the nodes are asked meanwhile."""
    said = ""
    for _ in range(count):
        stage.passes(5)
        await taken(stage)
        watchdog.look_at_input(stage.session)
        await asyncio.to_thread(stage.session.execution.run.tell)  # type: ignore[attr-defined]
        said = stage.session.input_check.said
    return said


async def taken(stage: Playing) -> None:
    """Until the decoder has what came, and no node is at a frame."""
    ingress = stage.session.execution.ingress
    assert ingress is not None
    while ingress.waiting:
        await asyncio.to_thread(threading.Event().wait, 0.005)
    await stage.rests()


@pytest.mark.parametrize("text", [PASS, DATA], ids=["output", "none"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: TEXT, "the input has brought text, and no MPEG-TS"),
        (lambda: NOISE, "the input has brought bytes of no kind that is known, and no MPEG-TS"),
        (clip_bytes, "the input has brought an MP4 file, and no MPEG-TS"),
        (
            lambda: sound(2.0),
            "the input has brought sound alone (aac), and the pipeline needs pictures",
        ),
        (
            lambda: bytes(transport.stream()[: 2 * 188]),
            "the input has brought MPEG-TS without a programme that can be read",
        ),
        (
            large,
            "the input has brought pictures of 4112x2192, and 8912896 pixels are the most",
        ),
    ],
    ids=["text", "noise", "file", "sound", "cut", "large"],
)
@pytest.mark.fault("F-30")
def test_what_nothing_comes_of_is_named_and_is_the_end_after_its_time(
    data: Callable[[], bytes], said: str, text: str
) -> None:
    async def test() -> None:
        async with taking(text) as stage:
            session = stage.session
            stage.comes(data())
            assert await looked(stage) == ""
            stage.comes(data())
            await looked(stage)
            stage.comes(data())
            assert await looked(stage) == said
            assert (state_of(session), session.input_check.ended()) == (State.DEGRADED_INPUT, "")
            assert status_of(session)["error_message"] == said
            for _ in range(7):
                stage.comes(data())
                await looked(stage)
                assert state_of(session) is State.DEGRADED_INPUT
                assert stage.ends == ""  # it has a time of its own
            assert session.input_check.ended() == f"for {Timing().unusable:g} s {said}"

    ran(test)


def test_pictures_that_come_are_a_new_beginning() -> None:
    async def test() -> None:
        async with taking() as stage:
            stage.comes(TEXT)
            await looked(stage)
            stage.comes(TEXT)
            assert await looked(stage) != ""
            stage.torn()
            stage.comes(segments(20)[0])
            await stage.answered(5)
            assert await looked(stage) == ""
            stage.passes(60)
            assert stage.session.input_check.ended() == ""

    ran(test)


def test_a_camera_that_is_switched_off_for_a_while_is_no_bad_input() -> None:
    async def test() -> None:
        async with taking() as stage:
            stage.comes(transport.stream(audio="aac", preset="ultrafast", g="10"))
            await stage.answered(5)
            assert await looked(stage) == ""
            both = transport.stream(audio="aac", preset="ultrafast", g="10")
            pictures = 0x100  # as libavformat numbers them
            dark = b"".join(p for p in transport.packets(both) if transport.pid(p) != pictures)
            for _ in range(10):
                stage.comes(dark)
                assert await looked(stage) == ""

    ran(test)


def test_a_silence_of_an_input_that_names_pictures_is_no_bad_input() -> None:
    async def test() -> None:
        async with taking() as stage:
            first = transport.stream(preset="ultrafast")
            stage.comes(first[: 5 * 188])  # tables, and the beginning of a picture
            for _ in range(10):
                assert await looked(stage) == ""
            assert state_of(stage.session) is State.DEGRADED_INPUT

    ran(test)


class Held:
    """An input as it is seen from outside."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__ |= {"head": TEXT, "tracks": [], "unreadable": [], "counts": IngressCount()}
        self.__dict__ |= parts


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"unreadable": ["0x06"]}, "no track that can be read, but those of types 0x06"),
        ({"tracks": [("video", "hevc")]}, "announced pictures (hevc) and brought none"),
        ({"tracks": [("audio", "aac")]}, "brought sound alone (aac)"),
    ],
)
def test_what_tables_say(parts: dict[str, Any], said: str) -> None:
    here: Any = Held(**parts)
    assert said in input_check.why_nothing(here, "video", "")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x00\x00\x00\x18ftypmp42", "an MP4 file"),
        (b"#EXTM3U\n", "a playlist"),
        (b"\x00\x00\x00\x01\x67", "pictures without a container"),
        (b'{"a": 1}', "text"),
        (b"", "bytes of no kind that is known"),
    ],
)
def test_what_a_beginning_is(head: bytes, kind: str) -> None:
    assert input_check.kind_of(head) == kind


@pytest.mark.parametrize("options", [{}, {"egress": False}], ids=["output", "none"])
def test_a_stream_of_something_else_ends_and_its_neighbour_does_not(
    options: dict[str, Any],
) -> None:
    timing = replace(QUICK, unusable=0.6, quiet=0.2)

    async def test() -> None:
        async with serving(timing=timing) as stage:
            bad, good = await stage.start(**options), await stage.start()
            session = stage.sessions[bad.name]
            sending = asyncio.ensure_future(good.publish(pieces(50)))
            while not session.over.is_set():
                await bad.send(TEXT, begins=True)
                await asyncio.sleep(0.05)
            assert session.reason == "bad_input"
            assert session.failure == "for 0.6 s the input has brought text, and no MPEG-TS"
            await bad.until(lambda: "stream_stopped" in bad.kinds())
            events = [event_of(event) for event in bad.events]
            unusable = next(event for event in events if event["type"] == "input_unusable")
            assert unusable["error"] == "the input has brought text, and no MPEG-TS"
            states = [event["state"] for event in bad.events if event.get("type") == "status"]
            assert "DEGRADED_INPUT" in states
            assert states[-1] == "ERROR"
            await sending
            await good.until(lambda: len(numbers(good.output)) == 50)

    ran(test)
