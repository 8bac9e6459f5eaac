"""The input of a session: bounded, in order, and every unit accounted for."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from composer.media.mpegts.demuxer import PACKET, Unit
from composer.session.ingress import MOST_READS, Gap, Ingress
from tests import stubs
from tests.media.transport import pieces_of, stream, times, units_of


def drained(ingress: Ingress) -> list[Unit | Gap]:
    ingress.end()
    return list(ingress)


def test_units_come_out_as_they_came_in() -> None:
    data = stream(audio="aac", preset="ultrafast")
    ingress = Ingress()
    assert ingress.has("audio") is None
    for at in range(0, len(data), 1000):
        ingress.put(data[at : at + 1000])
    units = drained(ingress)
    assert ingress.has("audio") is True
    assert times([unit for unit in units if isinstance(unit, Unit)]) == times(units_of(data))
    assert ingress.counts.bytes == len(data)
    assert sum(ingress.counts.units.values()) == len(units)


@pytest.mark.parametrize(("audio", "channels"), [("libopus", 2), ("aac", 0), ("", 0)])
def test_the_tables_say_how_many_channels_opus_has(audio: str, channels: int) -> None:
    ingress = Ingress()
    assert ingress.channels == 0
    ingress.put(stream(audio=audio, preset="ultrafast"))
    ingress.look()
    assert ingress.channels == channels


@pytest.mark.fault("F-20")
def test_too_many_leave_the_newest_key_picture_and_what_follows_it() -> None:
    data = stream(preset="ultrafast", g="10", sc_threshold="0")
    ingress = Ingress(most_units=25)
    ingress.put(data)
    items = drained(ingress)
    units = [item for item in items if isinstance(item, Unit)]
    assert isinstance(items[0], Gap)
    assert items.count(Gap()) == 1
    assert units[0].key
    assert units == units_of(data)[-len(units) :]
    assert ingress.counts.dropped["full"] + len(units) == 40


def test_too_many_bytes_are_too_many_as_well() -> None:
    data = stream(preset="ultrafast", g="10", sc_threshold="0")
    ingress = Ingress(most_bytes=len(data) // 3)
    ingress.put(data)
    units = [item for item in drained(ingress) if isinstance(item, Unit)]
    assert 0 < sum(len(unit.data) for unit in units) <= len(data) // 3
    assert ingress.counts.dropped["full"] + len(units) == 40


def test_bytes_that_nobody_looks_into_are_bounded_and_counted() -> None:
    data = stream(preset="ultrafast", g="10", sc_threshold="0")
    half = len(data) // 2 // PACKET * PACKET
    ingress = Ingress(most_unread=half + 1)
    ingress.put(data[:half])
    ingress.put(data[half:])
    assert ingress.counts.unread == len(data)
    assert drained(ingress) == [Gap()]


def test_what_waits_unread_counts_as_what_it_may_hold() -> None:
    """Else a decoder that hangs would make a silence of an input that goes on."""
    pieces, clock = pieces_of(stream(preset="ultrafast")), [0.0]
    ingress = Ingress(now=lambda: clock[0])
    for number, piece in enumerate(pieces[:3]):
        clock[0] = 1.0 + number
        ingress.put(piece)
    assert ingress.fed_at("video") == 3.0
    next(iter(ingress))
    clock[0] = 9.0
    ingress.put(b"")
    assert ingress.fed_at("video") == 3.0
    assert ingress.fed_at("audio") == 0.0


def test_without_a_key_picture_nothing_is_kept() -> None:
    ingress = Ingress(most_units=5)
    ingress.put(stream(preset="ultrafast", g="1000", sc_threshold="0"))
    items = drained(ingress)
    units = [item for item in items if isinstance(item, Unit)]
    assert not any(unit.key for unit in units)
    assert ingress.counts.dropped["full"] + len(units) == 40


@pytest.mark.fault("F-20")
def test_what_waits_too_long_gives_way_to_a_newer_key_picture() -> None:
    data = stream(preset="ultrafast", g="10", sc_threshold="0")
    pieces, clock = pieces_of(data), [0.0]
    ingress = Ingress(now=lambda: clock[0])
    for number, piece in enumerate(pieces):
        clock[0] = number / 10
        ingress.put(piece)
    items = drained(ingress)
    units = [item for item in items if isinstance(item, Unit)]
    assert items[0] == Gap()
    assert units == units_of(data)[-len(units) :]
    assert units[0].key
    assert ingress.counts.dropped == {"late": 40 - len(units)}
    assert ingress.given_at == pytest.approx(3.9)


def test_it_says_when_the_unit_came_that_it_gave() -> None:
    pieces, clock = pieces_of(stream(preset="ultrafast")), [0.0]
    ingress = Ingress(now=lambda: clock[0])
    for number, piece in enumerate(pieces[:3]):
        clock[0] = 1.0 + number / 10
        ingress.put(piece)
    given = iter(ingress)
    assert [(next(given), ingress.given_at)[1] for _ in range(3)] == [1.0, 1.1, 1.2]


def test_a_gap_is_told_once_and_ends_what_was_begun() -> None:
    data = stream(preset="ultrafast")
    ingress = Ingress()
    ingress.put(data[: 50 * PACKET])
    ingress.gap()
    ingress.gap()
    items = drained(ingress)
    assert items.count(Gap()) == 1
    assert items[-1] == Gap()
    assert ingress.counts.gaps == 2


@pytest.mark.parametrize("end", [Ingress.end, Ingress.abandon])
def test_its_end_wakes_whoever_waits(end: Callable[[Ingress], None]) -> None:
    ingress = Ingress()
    got: list[object] = []
    began = threading.Event()

    def read() -> None:
        began.set()
        got.extend(ingress)

    thread = threading.Thread(target=read)
    thread.start()
    stubs.reach(began)
    end(ingress)
    thread.join(stubs.WAIT)
    assert not thread.is_alive()
    assert got == []


def test_what_is_abandoned_is_counted() -> None:
    ingress = Ingress()
    ingress.put(stream(preset="ultrafast"))
    ingress.abandon()
    assert list(ingress) == []
    assert ingress.counts.dropped["stopped"] == ingress.counts.units["video"]


def test_it_knows_when_bytes_came_last() -> None:
    times = iter((3.0, 5.0))
    ingress = Ingress(now=lambda: next(times))
    assert ingress.last_at == 0.0
    ingress.put(b"x")
    ingress.put(b"x")
    assert ingress.last_at == 5.0


@pytest.mark.parametrize("first", ["gap", "sound"])
@pytest.mark.fault("F-33")
def test_a_group_of_pictures_that_is_too_long_is_dropped_as_a_whole(first: str) -> None:
    data = stream(preset="ultrafast", g="1000", sc_threshold="0", audio="aac")
    ingress = Ingress(most_units=10)
    if first == "gap":
        ingress.gap()
    ingress.put(data)
    items = drained(ingress)
    units = [item for item in items if isinstance(item, Unit)]
    assert len(items) <= 10
    given = sum(ingress.counts.units.values())
    assert ingress.counts.dropped["full"] + len(units) == given


class Wire:
    """A source whose bytes come over a socket."""

    def __init__(self) -> None:
        self.far, self._near = socket.socketpair()
        self._near.settimeout(0)
        self.fileno = self._near.fileno()
        self.over = False
        self.poured, self.ended = threading.Event(), threading.Event()
        self.readers: set[int] = set()

    def pour(self, take: Callable[[bytes], None]) -> bool:
        self.readers.add(threading.get_ident())
        try:
            data = self._near.recv(1 << 20)
        except BlockingIOError:
            return False
        self.over = not data
        if data:
            take(data)
        else:
            self.ended.set()
        self.poured.set()
        return bool(data)

    def close(self) -> None:
        self.far.close()
        self._near.close()


@contextlib.contextmanager
def iterated(ingress: Ingress) -> Iterator[list[object]]:
    """What a thread is given."""
    items: list[object] = []
    thread = threading.Thread(target=lambda: items.extend(ingress))
    thread.start()
    try:
        yield items
    finally:
        ingress.end()
        thread.join(stubs.WAIT)
        assert not thread.is_alive()


def test_who_iterates_reads_what_is_attached() -> None:
    data = stream(preset="ultrafast")
    ingress, wire = Ingress(), Wire()
    with contextlib.closing(wire), iterated(ingress) as items:
        ingress.attach(wire)
        wire.far.sendall(data)
        wire.far.close()
        stubs.reach(wire.ended)
        ingress.detach()
    assert times([unit for unit in items if isinstance(unit, Unit)]) == times(units_of(data))
    assert threading.get_ident() not in wire.readers
    assert ingress.counts.bytes == len(data)


def test_whoever_begins_reads_what_is_attached_when_the_one_before_has_left() -> None:
    """As decoders do that take each other's place: two may not wait in one poll()."""
    ingress, wire = Ingress(), Wire()
    with contextlib.closing(wire), contextlib.ExitStack() as iterations:
        ingress.attach(wire)
        for _ in range(50):
            iterations.enter_context(iterated(ingress))
            wire.poured.clear()
            wire.far.sendall(b"x")
            stubs.reach(wire.poured)
    assert ingress.counts.bytes == 50


def test_one_source_follows_another_in_order() -> None:
    data = stream(preset="ultrafast")
    ingress = Ingress()
    with iterated(ingress) as items:
        for part in (data[: 50 * PACKET], data[50 * PACKET :]):
            with contextlib.closing(Wire()) as wire:
                ingress.attach(wire)
                wire.far.sendall(part)
                wire.far.close()
                stubs.reach(wire.ended)
                ingress.detach()
    assert times([unit for unit in items if isinstance(unit, Unit)]) == times(units_of(data))


def test_while_its_reader_is_away_what_is_attached_is_read_on_the_loop() -> None:
    pieces, clock = pieces_of(stream(preset="ultrafast")), [1.0]
    ingress = Ingress(now=lambda: clock[0])
    with contextlib.closing(Wire()) as wire:
        ingress.attach(wire)
        for piece in pieces[:3]:
            clock[0] += 1.0
            wire.far.sendall(piece)
            ingress.tend()
        assert wire.readers == {threading.get_ident()}
        assert ingress.last_at == 4.0
        assert ingress.waiting == 3
        ingress.detach()
        ingress.tend()


@pytest.mark.fault("F-12")
def test_of_a_source_that_never_rests_no_more_than_so_much_is_read_at_once() -> None:
    class Endless(Wire):
        count = 0

        def pour(self, take: Callable[[bytes], None]) -> bool:
            self.count += 1
            take(b"x")
            return True

    ingress = Ingress()
    with contextlib.closing(Endless()) as wire:
        ingress.attach(wire)
        ingress.tend()
        assert wire.count == MOST_READS


@pytest.mark.parametrize("end", [Ingress.end, Ingress.abandon])
def test_its_end_wakes_whoever_waits_for_a_source(end: Callable[[Ingress], None]) -> None:
    ingress, wire = Ingress(), Wire()
    with contextlib.closing(wire), iterated(ingress) as items:
        ingress.attach(wire)
        wire.far.sendall(b"x")
        stubs.reach(wire.poured)
        end(ingress)
    assert items == []


def test_a_gap_is_told_while_a_source_is_silent() -> None:
    ingress, wire = Ingress(), Wire()
    told = threading.Event()

    def read() -> None:
        for _ in ingress:
            told.set()

    thread = threading.Thread(target=read)
    thread.start()
    with contextlib.closing(wire):
        ingress.attach(wire)
        wire.far.sendall(b"x")
        stubs.reach(wire.poured)
        ingress.gap()
        stubs.reach(told)
        ingress.end()
        thread.join(stubs.WAIT)


def test_while_it_catches_up_what_it_gives_is_as_new_as_it_can_be() -> None:
    clock = 1.0
    ingress = Ingress(now=lambda: clock)
    ingress.catch_up(1.0)
    for piece in pieces_of(stream(preset="ultrafast"))[:4]:
        ingress.put(piece)
    given, born = iter(ingress), []
    for _ in range(4):
        next(given)
        born.append(ingress.given_at)
        clock += 0.4
    assert born == pytest.approx([1.0, 1.4, 1.8, 1.0])
