"""Where a channel's segments are, and that a query goes with the requests and nowhere else."""

import logging

import pytest

from composer.trickle.channel_address import ChannelAddress
from tests.server.streams import numbers, pieces, ran, serving
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub

SECRET = "s3cr3t"
CHANNELS = {
    "control": "-control",
    "events": "-events",
    "data": "-data",
    "subscribe": "",
    "publish": "-out",
}


@pytest.mark.parametrize(
    ("text", "segment", "name"),
    [
        ("http://h/ai/x", "http://h/ai/x/7", "x"),
        ("http://h/ai/x/", "http://h/ai/x/7", "x"),
        ("http://h/ai/x?a=1&b=/y", "http://h/ai/x/7?a=1&b=/y", "x"),
        ("http://h/ai/x/?a", "http://h/ai/x/7?a", "x"),
        ("http://h/%C3%A9%2Fx", "http://h/%C3%A9%2Fx/7", "%C3%A9%2Fx"),
    ],
)
def test_segments_are_below_their_channel(text: str, segment: str, name: str) -> None:
    address = ChannelAddress.parse(text)
    assert (address.at(7), address.name) == (segment, name)
    assert address.at("next") == segment.replace("/7", "/next")
    assert str(address) == text.rstrip("/").replace("/?", "?")


def test_a_query_is_in_no_log_no_event_and_no_state(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test() -> None:
        async with serving() as stage:
            base = stage.orchestrator.trickle
            named = {
                f"{name}_url": f"{base}/one{ending}?token={SECRET}"
                for name, ending in CHANNELS.items()
            }
            stream = await stage.start(stream_id="one", data=True, **named)
            await stream.publish(pieces(20), speed=0)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            _, state = await stage.get("/stream/status")
            await stream.stop()
            elsewhere = Stub(GET=[wire_stub.status(302, location=f"http://h/?token={SECRET}")])
            async with elsewhere.serving() as url:
                lost = await stage.start(control_url=f"{url}?token={SECRET}")
                await lost.until(lambda: "stream_stopped" in lost.kinds())
            for told in (caplog.text, str(stream.events), str(lost.events), str(state)):
                assert SECRET not in told
            assert "channel ch: the server sent us elsewhere" in caplog.text
            assert "channel ch: the server sent us elsewhere" in str(lost.events)
            address = f"{stage.worker.address}/process?params={SECRET}"
            async with stage.http.post(address, data=b"x") as answer:
                assert answer.status == 400
            assert SECRET not in caplog.text

    ran(test)
