"""Streams through a whole worker: pictures in, pictures out, and every way to end."""

from tests.server.streams import numbers, pictures, pieces, ran, serving


def test_every_picture_comes_back_in_order_with_its_time() -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            await stream.publish(pieces(50), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 50)
            status, answer = await stream.stop()
            assert (status, answer["reason"]) == (200, "stopped")
            assert numbers(stream.output) == list(range(50))
            times = [image.pts for image in pictures(stream.output)]
            assert times == [3600 * number for number in range(50)]
            assert stage.sessions == {}

    ran(test)
