"""Input that is not as it should be, C-28 of the contract's checklist: it goes on within a GOP."""

from collections.abc import Iterable

import pytest

from composer.media.clip import Piece
from tests.server.streams import numbers, pictures, pieces, ran, serving

GOP = 10


def segments(found: Iterable[Piece]) -> list[bytes]:
    made: list[bytes] = []
    for piece in found:
        if piece.begins:
            made.append(b"")
        made[-1] += piece.data
    return made


GOOD = segments(pieces(50))
"""Five segments of ten numbered pictures."""


def cut_short() -> tuple[list[bytes], list[int]]:
    half = len(GOOD[2]) // 2 // 188 * 188 + 77
    return [*GOOD[:2], GOOD[2][:half], *GOOD[3:]], [*range(20), *range(30, 50)]


def packets_missing() -> tuple[list[bytes], list[int]]:
    data = GOOD[2]
    return [*GOOD[:2], data[: 188 * 6] + data[188 * 9 :], *GOOD[3:]], [*range(20), *range(30, 50)]


def times_go_back() -> tuple[list[bytes], list[int]]:
    return [*GOOD, *GOOD], [*range(50), *range(50)]


def a_segment_missing() -> tuple[list[bytes], list[int]]:
    return [*GOOD[:2], *GOOD[3:]], [*range(20), *range(30, 50)]


@pytest.mark.parametrize("case", [cut_short, packets_missing, times_go_back, a_segment_missing])
@pytest.mark.fault("F-21")
def test_c28_broken_input_goes_on_within_a_gop(case: object) -> None:
    given, expected = case()  # type: ignore[operator]

    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            for data in given:
                await stream.send(data, begins=True)
                await stream.cut()
            await stream.until(lambda: len(numbers(stream.output)) >= len(expected))
            await stream.stop()
            seen = [number for number in numbers(stream.output) if number is not None]
            missing = [number for number in expected if number not in seen]
            assert missing == []
            times = [image.pts or 0 for image in pictures(stream.output)]
            assert times == sorted(set(times))

    ran(test)


@pytest.mark.fault("F-24")
def test_c28_another_resolution_goes_on_at_its_first_key_picture() -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            await stream.publish(pieces(20, width=320, height=192), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 40)
            await stream.stop()
            assert numbers(stream.output) == [*range(20), *range(20)]
            sizes = {(image.width, image.height) for image in pictures(stream.output)}
            assert sizes == {(160, 96)}

    ran(test)
