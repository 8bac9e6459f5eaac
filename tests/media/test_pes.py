"""PES packets end at their last byte, whatever they say of their length."""

import pytest

from composer.media.mpegts.pes import PACKET, Pes, PesReader

HEAD = b"\0\0\1\xe0"
SOME = bytes(range(256)) * 300


def packed(*bodies: bytes, length: int | None = None, stuffed: bool = True) -> list[bytes]:
    """TS packets of PES packets with these bodies. length: as written, None for the real one.
    stuffed: the last packet of each is filled up by an adaptation field, as muxers do.
    """
    found, turn = [], 0
    for body in bodies:
        said = len(body) + 3 if length is None else length
        rest = HEAD + (said & 0xFFFF).to_bytes(2) + b"\x80\0\0" + body
        begins = 0x40
        while rest:
            part, rest = rest[:184], rest[184:]
            room = 184 - len(part)
            head = bytes([0x47, begins | 1, 0, (0x30 if room else 0x10) | turn])
            field = b"\0" if room == 1 else bytes([max(room - 1, 0), 0]) + b"\xff" * (room - 2)
            if stuffed or not room:
                found.append(head + (field if room else b"") + part)
            else:
                found.append(bytes([0x47, begins | 1, 0, 0x10 | turn]) + part.ljust(184, b"\xff"))
            begins, turn = 0, (turn + 1) & 15
    return found


def read(packets: list[bytes]) -> tuple[list[Pes], list[Pes]]:
    """(what comes with the packets, what only the end gives)."""
    reader, found, last = PesReader(), list[Pes](), list[Pes]()
    for packet in packets:
        assert len(packet) == PACKET
        reader.packet(packet, 0, found)
    reader.finish(last)
    assert reader.lost == 0
    return found, last


@pytest.mark.parametrize("length", [None, 0], ids=["right", "none"])
def test_one_is_given_with_its_last_byte(length: int | None) -> None:
    bodies = [SOME[:900], SOME[:20], SOME[:5000]]
    found, last = read(packed(*bodies, length=length))
    assert [pes.data for pes in found] == bodies
    assert last == []
    assert not any(pes.damaged or pes.again for pes in found)


def test_a_length_modulo_65536_is_found_out() -> None:
    bodies = [SOME[:70_000], SOME[:66_000], SOME[:1000]]
    found, last = read(packed(*bodies))
    assert [pes.data for pes in found + last if len(pes.data) > 900] == bodies
    assert not any(pes.damaged for pes in found)


def test_one_that_goes_on_behind_its_stuffing_is_given_again() -> None:
    packets = packed(SOME[:100], SOME[100:400], SOME[:50], length=0)
    joined = bytearray(packets[1])
    joined[1] &= 0xBF  # it does not begin anything
    body = joined.index(HEAD)
    joined[4] += 9  # nor has it a header: the field before it is longer
    joined[body : body + 9] = b"\xff" * 9
    found, _ = read([packets[0], bytes(joined), *packets[2:]])
    assert (found[0].data, found[0].again) == (SOME[:100], False)
    assert (found[1].data[:100], found[1].again) == (SOME[:100], True)
    assert not found[1].damaged


def test_one_packet_may_be_padded_behind_its_end() -> None:
    found, _ = read(packed(SOME[:20], SOME[:30], stuffed=False))
    assert [pes.data for pes in found] == [SOME[:20], SOME[:30]]


def test_one_without_its_end_is_damaged() -> None:
    found, last = read([*packed(SOME[:900])[:3], *packed(SOME[:20])])
    assert [pes.damaged for pes in found] == [True, False]
    assert last == []
