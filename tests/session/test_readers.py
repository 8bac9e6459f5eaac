"""What a session reads of its channels, and what it has to leave."""

import pytest

from composer.limits import WireLimits
from tests.server.streams import ran, serving


@pytest.mark.fault("F-80")
def test_a_message_of_control_that_is_too_long_is_left_out_and_told() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(control=10_000)) as stage:
            stream = await stage.start()
            await stream.control(b'{"caption": "' + b"x" * 20_000 + b'"}')
            await stream.control(b'{"caption": "x"}')
            await stream.until(lambda: "params_rejected" in stream.kinds())
            assert stream.kinds().count("params_rejected") == 1
            await stream.until(
                lambda: stream.events[-1].get("control_status") == {"dropped": {"too_long": 1}}
            )

    ran(test)


def test_a_message_of_too_many_values_is_told_where_a_change_would_be() -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.control(b'{"caption": [' + b"[]," * 100_000 + b"1]}")
            await stream.until(lambda: "params_rejected" in stream.kinds())
            told = next(each for each in stream.events if "params_rejected" in str(each))
            assert told["event"]["problems"] == [
                {"at": "", "message": "the message has more than 5000 values"}
            ]
            await stream.control(b'{"keep": "alive"}')
            assert stage.sessions[stream.name].reason is None

    ran(test)
