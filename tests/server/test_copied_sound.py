"""Sound that no node takes goes through a session bit for bit where it can be heard as it came."""

import logging
from itertools import pairwise
from typing import Any, Final

import av
import pytest

from composer.media.clip import Piece
from composer.media.mpegts.demuxer import CLOCK
from tests.media import transport
from tests.server.streams import (
    PASS,
    heard,
    numbers,
    pieces,
    ran,
    serving,
    sounds,
    threaded,
)

GAIN: Final = (
    "nodes: {source: {type: decode}, loud: {type: gain, db: 6, in: source.audio},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait,"
    " in: {image: source.image, audio: loud}}}"
)

SOUND_PID: Final = 257


def of(sent: list[Piece]) -> list[bytes]:
    return [piece.data for piece in sent]


class Told:
    """What a session gave back, and what it said of itself while it ran."""

    def __init__(self) -> None:
        self.output: list[bytes] = []
        self.models: dict[str, Any] = {}


def sent(stream: list[Piece], text: str = PASS) -> Told:
    """A stream through a whole worker, from its first byte to its last."""
    told = Told()

    async def test() -> None:
        async with serving(text) as stage:
            there = await stage.start()
            assert there.status == 200, there.answer
            session = stage.sessions[there.name]
            await there.publish(stream, speed=4)
            threaded(session).run.tell()  # else a thread does, some time
            told.models = session.status()["inference_status"]["models"]
            await there.delete("")
            await session.over.wait()
            await there.close()
            told.output = there.output

    ran(test)
    return told


@pytest.fixture
def coders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all decoders and encoders that are made from now on."""
    made: list[str] = []
    real = av.CodecContext

    class Counted:
        @staticmethod
        def create(codec: str, *how: Any, **more: Any) -> Any:
            made.append(codec)
            return real.create(codec, *how, **more)

    monkeypatch.setattr(av, "CodecContext", Counted)
    return made


@pytest.mark.parametrize("layout", ["stereo", "mono"])
def test_opus_comes_back_bit_for_bit_at_its_times(layout: str) -> None:
    stream = pieces(sound="libopus", layout=layout)
    told = sent(stream)
    assert heard(told.output) == heard(of(stream))
    assert numbers(told.output) == list(range(50))
    assert told.models == {}
    channels = {unit.track.channels for unit in sounds(told.output)}
    assert channels == {1 if layout == "mono" else 2}


def test_no_coder_of_sound_is_made_for_it(coders: list[str]) -> None:
    stream = pieces(sound="libopus")
    coders.clear()
    sent(stream)
    assert set(coders) == {"h264", "libx264"}


def test_other_sound_is_coded_anew_and_the_log_says_why_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    told = sent(pieces(sound="aac"))
    coded = sounds(told.output)
    assert {unit.track.codec for unit in coded} == {"opus"}
    assert len(coded) == pytest.approx(100, abs=3)
    said = [each.getMessage() for each in caplog.records if "coded anew" in each.getMessage()]
    assert len(said) == 1
    assert "the sound of the input (aac, PID 257) is decoded and coded anew" in said[0]
    assert told.models == {"source": {"sound": "aac is decoded and coded anew"}}


def test_what_a_node_takes_is_decoded(coders: list[str]) -> None:
    stream = pieces(sound="libopus")
    coders.clear()
    told = sent(stream, GAIN)
    assert {"opus", "libopus"} <= set(coders)
    assert not {data for _, data in heard(told.output)} & {data for _, data in heard(of(stream))}
    assert numbers(told.output) == list(range(50))


def test_a_gap_stays_a_gap() -> None:
    stream = without_sound(pieces(sound="libopus"), range(40, 60))
    given = heard(of(stream))
    assert max(after - before for (before, _), (after, _) in pairwise(given)) == 21 * CLOCK // 50
    assert heard(sent(stream).output) == given


def test_sound_that_changes_its_codec_on_the_way_goes_on() -> None:
    opus, aac = pieces(sound="libopus"), pieces(sound="aac")
    ends = 50 / 25
    stream = [
        Piece(piece.seconds + turn * ends, piece.data, piece.begins)
        for turn, part in enumerate((opus, aac, opus))
        for piece in part
    ]
    told = sent(stream)
    coded = sounds(told.output)
    whole = [data for _, data in heard(of(opus))]
    data = [unit.data for unit in coded]
    assert data[: len(whole)] == whole
    assert data[-len(whole) :] == whole
    assert {unit.track.codec for unit in coded} == {"opus"}
    times = [unit.pts or 0 for unit in coded]
    assert all(0 < after - before < CLOCK // 10 for before, after in pairwise(times))
    assert times[-1] - times[0] == pytest.approx(3 * ends * CLOCK, abs=CLOCK // 10)
    assert told.models == {}
    assert numbers(told.output) == list(range(50)) * 3


def without_sound(stream: list[Piece], missing: range) -> list[Piece]:
    """The same without the packets of sound with these numbers, one a PES packet."""
    kept, begun = [], -1
    for piece in stream:
        rest = []
        for packet in transport.packets(piece.data):
            sound = transport.pid(packet) == SOUND_PID
            begun += sound and bool(packet[1] & 0x40)
            if not sound or begun not in missing:
                rest.append(packet)
        kept.append(Piece(piece.seconds, b"".join(rest), piece.begins))
    return kept
