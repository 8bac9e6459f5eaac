"""The packets of a transport stream, looked at for what they say of themselves."""

import io

import pytest

from composer.media.mpegts import psi
from composer.media.mpegts.pes import PACKET
from composer.probe.transport import TransportReport, look
from tests.media import transport

MAP = 4096


def looked(data: bytes) -> TransportReport:
    found = look(io.BytesIO(data), len(data))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stream() -> bytes:
    return transport.stream(audio="aac", frames=20)


def as_next(packet: bytes) -> bytes:
    """The table of a packet, marked as the one that will be valid next."""
    body = bytearray(packet)
    body[10] &= 0xFE
    end = 8 + (body[6] & 0x0F) * 256 + body[7]
    body[end - 4 : end] = psi.crc(bytes(body[5 : end - 4])).to_bytes(4, "big")
    return bytes(body)


def test_what_is_in_order(stream: bytes) -> None:
    found = looked(stream)
    assert found.packets == len(stream) // PACKET
    assert found.programs == {1: (256, 257)}
    assert found.pes[256] == 20
    assert (found.lost.total(), found.strayed, found.next_tables, found.unknown) == (0, 0, 0, set())


def test_packets_that_are_missing(stream: bytes) -> None:
    packets = transport.packets(stream)
    middle = [at for at, each in enumerate(packets) if transport.pid(each) == 256][30]
    assert looked(b"".join(packets[:middle] + packets[middle + 1 :])).lost == {256: 1}


def test_a_packet_that_comes_twice_is_no_loss(stream: bytes) -> None:
    packets = transport.packets(stream)
    middle = [at for at, each in enumerate(packets) if transport.pid(each) == 256][30]
    assert not looked(b"".join(packets[: middle + 1] + packets[middle:])).lost


def test_a_muxer_that_begins_anew_has_lost_nothing(stream: bytes) -> None:
    assert not looked(stream + stream).lost


def test_tables_that_are_not_valid_yet(stream: bytes) -> None:
    packets = transport.packets(stream)
    at = [transport.pid(each) for each in packets].index(MAP)
    packets.insert(at + 1, as_next(packets[at]))
    assert looked(b"".join(packets)).next_tables == 1


def test_bytes_between_packets(stream: bytes) -> None:
    found = looked(stream[:1880] + b"rubbish" + stream[1880:])
    assert (found.strayed, found.packets) == (1, len(stream) // PACKET)


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16)], ids=["M2TS", "parity"])
def test_packets_with_something_around_them(stream: bytes, before: int, behind: int) -> None:
    packets = transport.packets(stream)
    found = looked(b"".join(b"\x01" * before + each + b"\x02" * behind for each in packets))
    assert (found.stride, found.packets) == (PACKET + before + behind, len(packets))
    assert (found.programs, found.strayed) == ({1: (256, 257)}, 0)


def test_packets_that_need_a_key(stream: bytes) -> None:
    packets = transport.packets(stream)
    last = packets[-1]
    packets[-1] = last[:3] + bytes([last[3] | 0x80]) + last[4:]
    assert looked(b"".join(packets)).scrambled.total() == 1


@pytest.mark.parametrize("data", [b"", b"G", b"no transport stream", b"GGGG" * 100, bytes(5000)])
def test_what_is_no_transport_stream(data: bytes) -> None:
    found = look(io.BytesIO(data), len(data))
    assert found is None or not found.programs


def test_it_reads_no_more_than_it_may(stream: bytes) -> None:
    found = look(io.BytesIO(stream), 40 * PACKET)
    assert found is not None
    assert found.packets == 40
