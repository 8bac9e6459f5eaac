"""Pictures that a decoder took and never gave are counted, and no others."""

from dataclasses import dataclass

import pytest

from composer.media.awaited import Awaited


@dataclass
class Packet:
    pts: int | None
    is_discard: bool = False


@dataclass
class Image:
    pts: int | None
    interlaced_frame: bool = False


def counted(sent: list[Packet], came: list[Image]) -> tuple[int, int]:
    """(before the first that came, after it)."""
    awaited = Awaited(40)
    for packet in sent:
        awaited.sent(packet)
    for image in came:
        awaited.came(image)
    awaited.end()
    return awaited.late, awaited.damaged


def packets(*times: int | None) -> list[Packet]:
    return [Packet(time) for time in times]


def images(*times: int | None, interlaced: bool = False) -> list[Image]:
    return [Image(time, interlaced) for time in times]


@pytest.mark.parametrize(
    ("sent", "came", "lost"),
    [
        pytest.param(packets(0, 120, 40, 80), images(0, 40, 80, 120), (0, 0), id="all"),
        pytest.param(packets(0, 40, 80, 120), images(80, 120), (2, 0), id="before the key"),
        pytest.param(packets(80, 0, 40, 120), images(80, 120), (2, 0), id="leading pictures"),
        pytest.param(packets(0, 40, 80, 120), images(0, 120), (0, 2), id="in the middle"),
        pytest.param(packets(0, 40, 80, 120), images(0, 40), (0, 2), id="at the end"),
        pytest.param(packets(0, 40), [], (2, 0), id="nothing"),
        pytest.param(packets(0, 40, 80), images(1, 41, 81), (0, 0), id="times of its own"),
        pytest.param(packets(None, None, None), images(None, None), (0, 1), id="no times"),
        pytest.param(packets(0, 20, 40, 60), images(0, 40, interlaced=True), (0, 0), id="fields"),
        pytest.param(
            packets(0, None, 40, None), images(0, 40, interlaced=True), (0, 0), id="bare fields"
        ),
        pytest.param(
            packets(0, 40, 80, 120), images(0, 80, 120, interlaced=True), (0, 1), id="interlaced"
        ),
        pytest.param(
            [Packet(-40, is_discard=True), *packets(0, 40)], images(0, 40), (0, 0), id="cut off"
        ),
    ],
)
def test_what_did_not_come_is_counted(
    sent: list[Packet], came: list[Image], lost: tuple[int, int]
) -> None:
    assert counted(sent, came) == lost
