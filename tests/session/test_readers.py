"""What a session reads of its channels, and what it has to leave."""

import pytest

from composer.trickle import subscriber
from tests.server.streams import ran, serving


@pytest.mark.fault("F-80")
def test_a_message_of_control_that_is_too_long_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriber, "LONGEST_MESSAGE", 10_000)  # of those who read events, too

    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.control(b'{"caption": "' + b"x" * 20_000 + b'"}')
            await stream.control(b'{"caption": "x"}')
            await stream.until(lambda: "params_rejected" in stream.kinds())
            assert stream.kinds().count("params_rejected") == 1
            await stream.until(
                lambda: stream.events[-1].get("control_status") == {"dropped": {"too_long": 1}}
            )

    ran(test)
