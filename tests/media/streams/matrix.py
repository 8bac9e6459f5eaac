"""The matrix: a stream is a choice on each axis, and its name says where that is not the plain."""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from tests.media.streams import elementary, fields, transport
from tests.media.streams.elementary import CLOCK, STEP, Coded, Pictures, Sound, moved
from tests.media.streams.seen import Span
from tests.media.streams.transport import (
    PICTURES,
    PMT,
    SOUND,
    Layout,
    Listed,
    Pes,
    Program,
    Tables,
    Track,
    listed,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One point of the matrix."""

    pictures: str = "h264"
    pes: str = "picture"
    length: str = "right"
    sound: str = "aac"
    blocks: str = "one"
    tables: str = "keys"
    scene: str = "plain"
    timing: str = "plain"
    clock: str = "pcr"
    packets: str = "plain"
    way: str = "plain"

    def __str__(self) -> str:
        said = [
            f"{each.name}={value}" if each.name not in ("pictures", "sound") else value
            for each in dataclasses.fields(self)
            if (value := getattr(self, each.name)) != each.default
            or each.name in ("pictures", "sound")
        ]
        return "+".join(said)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream's bytes, and which of its tracks are meant: PIDs of pictures and of sound.

    numbers: (number, ticks) of its pictures. sounds: what can be heard.
    """

    data: bytes
    pictures: tuple[int, ...]
    sound: tuple[int, ...]
    numbers: tuple[tuple[int, int], ...]
    sounds: tuple[Span, ...]


# axes: how pictures and blocks lie in PES packets

PES: Final[dict[str, Callable[[Sequence[Coded]], tuple[Pes, ...]]]] = {
    "picture": transport.one_each,
    "two": lambda coded: transport.several(coded, 2),
    "seven": lambda coded: transport.several(coded, 7),
    "units": transport.in_units,
    "cut": lambda coded: transport.anywhere(coded, 700),
    "cut-large": lambda coded: transport.anywhere(coded, 2500),
    "cut-small": lambda coded: transport.anywhere(coded, 150),
}

BLOCKS: Final[dict[str, Callable[[Sequence[Coded]], tuple[Pes, ...]]]] = {
    "one": transport.one_each,
    "four": lambda coded: transport.several(coded, 4),
    "twelve": lambda coded: transport.several(coded, 12),
    "cut": lambda coded: transport.anywhere(coded, 501),
    "cut-large": lambda coded: transport.anywhere(coded, 2700),
    "cut-small": lambda coded: transport.anywhere(coded, 130),
}

TABLES: Final = {
    "keys": Tables(),
    "start": Tables(every=0),
    "often": Tables(every=STEP * 3),
    "long": Tables(every=STEP * 10, padding=700),
    "long-pointer": Tables(every=STEP * 10, padding=330, pointer=40),
    "versions": Tables(every=STEP * 5, versions=True),
    "next": Tables(every=STEP * 5, announced=True),
    "network": Tables(network=True),
    "pointer": Tables(pointer=17),
}

PACKETS: Final = {
    "plain": Layout(),
    "stuffed-anywhere": Layout(stuffing="anywhere"),
    "stuffed-begin": Layout(stuffing="begin"),
    "stuffed-own": Layout(stuffing="own"),
    "mixed": Layout(mixed=True),
    "mixed-stuffed": Layout(mixed=True, stuffing="anywhere"),
    "long-header": Layout(header=20),
    "aligned-flag": Layout(flags=0x84),
}

CLOCKS: Final = {"pcr": "first", "own": "own", "none": "none"}

WAYS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "plain": lambda data: data,
    "nulls": transport.with_nulls,
    "twins": transport.with_twins,
    "strangers": transport.with_strangers,
    "192": transport.stamped,
    "204": transport.with_parity,
    "junk-before": transport.after_junk,
    "junk-between": transport.with_junk,
}

LENGTHS: Final = ("right", "zero", "modulo")

SOONER: Final = 5 * STEP
"""How much earlier than its time sound is sent: pictures are waited for longer."""


def _timed(name: str, pes: tuple[Pes, ...]) -> tuple[Pes, ...]:
    """The times of a track as `name` says."""
    if name == "jump-ahead":
        return transport.later(pes, 1000 * CLOCK, CLOCK)
    if name == "jump-back":
        return transport.later(pes, -5 * CLOCK, CLOCK)
    if name == "pts-some":
        return transport.timed_only(pes, 3)
    if name == "no-dts":
        return tuple(replace(each, dts=None) for each in pes)
    return pes


BASES: Final = {"wrap": transport.WRAP - CLOCK, "wrap-at-start": transport.WRAP - 1000, "zero": 0}

TIMINGS: Final = (
    *("plain", "wrap", "wrap-at-start", "zero", "jump-ahead", "jump-back", "pts-some", "no-dts"),
    *("sound-before", "sound-after", "sound-gap", "sent-before", "sent-behind", "varying"),
)


def coded_pictures(name: str, count: int = elementary.COUNT, first: int = 0) -> Pictures:
    made = fields.pictures if name in fields.NAMES else elementary.pictures
    return made(name, count, first)


def _clip(choice: Choice) -> tuple[Pictures | None, Sound | None]:
    pictures = coded_pictures(choice.pictures) if choice.pictures != "none" else None
    sound = elementary.sound(choice.sound) if choice.sound != "none" else None
    if pictures is not None and choice.timing == "varying":
        pictures = _varied(pictures)
    if sound is not None and choice.timing in ("sound-before", "sound-after"):
        ticks = 5 * CLOCK if choice.timing == "sound-after" else -3 * CLOCK
        long = elementary.sound(choice.sound, 5.0)
        sound = replace(long, coded=moved(long.coded, ticks))
    if sound is not None and choice.timing == "sound-gap":
        held = transport.without_middle(sound.coded, CLOCK // 2, 3 * CLOCK // 2)
        sound = replace(sound, coded=held)
    return pictures, sound


def _both(choice: Choice) -> tuple[Pictures, Sound]:
    pictures, sound = _clip(choice)
    assert pictures is not None
    assert sound is not None
    return pictures, sound


def _varied(pictures: Pictures) -> Pictures:
    """At a rate that varies: each picture has a time of its own, in the same order."""

    def at(ticks: int) -> int:
        place = ticks // STEP
        return ticks + place * place * 40 + (place % 3) * 500

    coded = tuple(
        replace(each, pts=at(each.pts), dts=min(at(each.dts), at(each.pts)))
        for each in pictures.coded
    )
    return replace(
        pictures,
        coded=coded,
        numbers=tuple((number, at(ticks)) for number, ticks in pictures.numbers),
    )


def sounds_of(sound: Sound) -> tuple[Span, ...]:
    """Its spans, in seconds from the stream's time 0."""
    found: list[Span] = []
    for each in sound.coded:
        begin, end = each.pts / CLOCK, (each.pts + sound.each) / CLOCK
        if found and abs(begin - found[-1].end) < 0.002:
            found[-1] = replace(found[-1], end=end)
        else:
            found.append(Span(begin, end, sound.tone, 1.0, sound.rate, sound.channels))
    return tuple(found)


def _track_of_pictures(choice: Choice, pictures: Pictures, pid: int = PICTURES) -> Track:
    return Track(pid, 0xE0, PES[choice.pes](pictures.coded), choice.length)


def _track_of_sound(choice: Choice, sound: Sound, pid: int = SOUND) -> Track:
    private = sound.codec in ("opus", "ac3", "eac3")
    coded = transport.sound_pes(sound)
    sooner = {"sent-before": CLOCK, "sent-behind": -CLOCK}.get(choice.timing, SOONER)
    pes = transport.sent_before(BLOCKS[choice.blocks](coded), sooner)
    return Track(pid, 0xBD if private else 0xC0, pes, "right")


def build(choice: Choice) -> Stream:
    """The stream of one point."""
    return SCENES[choice.scene](choice)


def _written(
    choice: Choice,
    tracks: Sequence[Track],
    programs: Sequence[Program],
    pictures: tuple[int, ...],
    sound: tuple[int, ...],
    numbers: tuple[tuple[int, int], ...],
    sounds: tuple[Span, ...],
) -> Stream:
    timed = [replace(track, pes=_timed(choice.timing, track.pes)) for track in tracks]
    layout = replace(PACKETS[choice.packets], clock=CLOCKS[choice.clock])
    base = BASES.get(choice.timing, transport.BASE)
    data = transport.mux(timed, programs, TABLES[choice.tables], layout, base)
    return Stream(WAYS[choice.way](data), pictures, sound, numbers, sounds)


def _plain(choice: Choice, between: tuple[Listed, ...] = (), *, private: bool = False) -> Stream:
    pictures, sound = _clip(choice)
    tracks, map_ = [], list(between[:1])
    if pictures is not None:
        tracks.append(_track_of_pictures(choice, pictures))
        map_.append(listed(pictures.codec, PICTURES))
    map_ += between[1:]
    if sound is not None:
        tracks.append(_track_of_sound(choice, sound))
        one = listed(sound.codec, SOUND, sound.channels)
        map_.append(transport.as_private(one, sound.codec) if private else one)
    program = Program(1, PMT, ((0, tuple(map_)),), PICTURES if pictures else SOUND)
    return _written(
        choice,
        tracks,
        [program],
        (PICTURES,) if pictures else (),
        (SOUND,) if sound else (),
        pictures.numbers if pictures else (),
        sounds_of(sound) if sound else (),
    )


def _unknown_between(choice: Choice) -> Stream:
    return _plain(
        choice,
        (
            Listed(0x05, 0x222, transport.descriptor(0x05, b"ABCD")),
            Listed(0x86, 0x223, transport.descriptor(0x05, b"CUEI")),
            Listed(0x15, 0x224),
            Listed(0x06, 0x225, transport.descriptor(0x59, b"eng\x10\0\1\0\1")),
            Listed(0x8A, 0x226),
        ),
    )


def _private_sound(choice: Choice) -> Stream:
    return _plain(choice, private=True)


def _other_sound(choice: Choice, tone: float, seconds: float = 2.0) -> Sound:
    name = choice.sound if choice.sound != "none" else "aac"
    return elementary.sound(name, seconds, tone)


def _two_sounds(choice: Choice, *, swapped: bool = False) -> Stream:
    """Two tracks of sound all the time: the first that the map names counts."""
    pictures, sound = _both(choice)
    other = _other_sound(choice, 880)
    pids = (SOUND + 1, SOUND) if swapped else (SOUND, SOUND + 1)
    map_ = (
        listed(pictures.codec, PICTURES),
        *(listed(sound.codec, pid, sound.channels) for pid in pids),
    )
    tracks = [
        _track_of_pictures(choice, pictures),
        _track_of_sound(choice, sound, pids[0]),
        _track_of_sound(choice, other, pids[1]),
    ]
    program = Program(1, PMT, ((0, map_),))
    return _written(
        choice, tracks, [program], (PICTURES,), pids[:1], pictures.numbers, sounds_of(sound)
    )


def _swapped_sounds(choice: Choice) -> Stream:
    return _two_sounds(choice, swapped=True)


def _at(sound: Sound, begin: int) -> Sound:
    """The same, later: what begins to be sent is whole from its first block on."""
    return replace(sound, coded=moved(sound.coded, begin))


def _comes_and_goes(choice: Choice, spans: Sequence[tuple[int, int]], *, mapped: bool) -> Stream:
    """Sound in these spans alone. mapped: the map names it only then."""
    pictures, sound = _both(choice)
    parts = [
        _at(elementary.sound(choice.sound, (end - begin) / CLOCK), begin) for begin, end in spans
    ]
    held = replace(sound, coded=tuple(chain.from_iterable(part.coded for part in parts)))
    with_it = (listed(pictures.codec, PICTURES), listed(sound.codec, SOUND, sound.channels))
    maps: tuple[tuple[int, tuple[Listed, ...]], ...] = ((0, with_it),)
    if mapped:
        # A map comes before what it names is sent.
        lead = 6 * STEP
        maps = ((0, with_it if spans[0][0] <= 0 else with_it[:1]),)
        for begin, end in spans:
            if begin > 0:
                maps += ((begin - lead, with_it),)
            maps += ((end + SOONER, with_it[:1]),)
    tracks = [_track_of_pictures(choice, pictures), _track_of_sound(choice, held)]
    program = Program(1, PMT, maps)
    return _written(
        choice, tracks, [program], (PICTURES,), (SOUND,), pictures.numbers, sounds_of(held)
    )


def _sound_later(choice: Choice) -> Stream:
    return _comes_and_goes(choice, [(CLOCK, 2 * CLOCK)], mapped=True)


def _sound_ends(choice: Choice) -> Stream:
    return _comes_and_goes(choice, [(0, CLOCK)], mapped=True)


def _sound_returns(choice: Choice) -> Stream:
    return _comes_and_goes(choice, [(0, CLOCK // 2), (CLOCK * 3 // 2, 2 * CLOCK)], mapped=True)


def _other_track(choice: Choice, *, codec: str = "", same_pid: bool = False) -> Stream:
    """From the first second on, another track of sound stands in the first one's place."""
    pictures, _ = _both(choice)
    first = elementary.sound(choice.sound, 1.0)
    begin = round(sounds_of(first)[-1].end * CLOCK)
    second = _at(elementary.sound(codec or choice.sound, 1.0, 880), begin)
    pid = SOUND if same_pid else SOUND + 1
    image = listed(pictures.codec, PICTURES)
    maps = (
        (0, (image, listed(first.codec, SOUND, first.channels))),
        (begin - SOONER, (image, listed(second.codec, pid, second.channels))),
    )
    tracks = [
        _track_of_pictures(choice, pictures),
        _track_of_sound(choice, first),
        _track_of_sound(choice, second, pid),
    ]
    if same_pid:
        joined = (*tracks[1].pes, *tracks[2].pes)
        tracks[1:] = [replace(tracks[2], pes=joined)]
    return _written(
        choice,
        tracks,
        [Program(1, PMT, maps)],
        (PICTURES,),
        (SOUND, pid),
        pictures.numbers,
        (*sounds_of(first), *sounds_of(second)),
    )


def _sound_moves(choice: Choice) -> Stream:
    return _other_track(choice)


def _sound_changes(choice: Choice) -> Stream:
    return _other_track(choice, codec="mp2" if choice.sound != "mp2" else "aac")


def _sound_changes_in_place(choice: Choice) -> Stream:
    codec = "mp2" if choice.sound != "mp2" else "aac"
    return _other_track(choice, codec=codec, same_pid=True)


def _two_programs(choice: Choice, kind: str) -> Stream:
    """Two programmes, the first with pictures of its own, with nothing known, or never told."""
    pictures, sound = _both(choice)
    other = coded_pictures(choice.pictures, first=1000)
    tracks = [_track_of_pictures(choice, pictures), _track_of_sound(choice, sound)]
    ours = (listed(pictures.codec, PICTURES), listed(sound.codec, SOUND, sound.channels))
    theirs: tuple[Listed, ...] = (Listed(0x05, 0x222), Listed(0x86, 0x223))
    if kind == "both":
        theirs = (listed(other.codec, 0x200), listed("aac", 0x201))
        tracks.append(_track_of_pictures(choice, other, 0x200))
        tracks.append(_track_of_sound(choice, elementary.sound("aac", 2.0, 880), 0x201))
        programs = [Program(1, PMT, ((0, ours),)), Program(2, PMT + 1, ((0, theirs),), 0x200)]
    else:
        programs = [
            Program(1, PMT + 1, ((0, theirs),), 0x222, told=kind == "unknown"),
            Program(2, PMT, ((0, ours),)),
        ]
    return _written(
        choice, tracks, programs, (PICTURES,), (SOUND,), pictures.numbers, sounds_of(sound)
    )


def _changed_pictures(choice: Choice, second: str, *, pid: int = PICTURES) -> Stream:
    """From the second second on, pictures of another kind, numbered on."""
    _, sound = _both(choice)
    first = coded_pictures(choice.pictures, 25)
    behind = coded_pictures(second, 25, 25)
    ticks = 25 * STEP
    later = replace(
        behind,
        coded=moved(behind.coded, ticks),
        numbers=tuple((number, at + ticks) for number, at in behind.numbers),
    )
    tracks = [_track_of_pictures(choice, first), _track_of_pictures(choice, later, pid)]
    # What an encoder's delay puts before the last pictures of the first kind is sent behind them.
    sent = tuple(replace(each, at=max(each.at, ticks)) for each in tracks[1].pes)
    tracks[1] = replace(tracks[1], pes=sent)
    voice = listed(sound.codec, SOUND, sound.channels)
    maps: tuple[tuple[int, tuple[Listed, ...]], ...] = (
        (0, (listed(first.codec, PICTURES), voice)),
        (ticks, (listed(later.codec, pid), voice)),
    )
    if pid == PICTURES:
        tracks = [replace(tracks[0], pes=(*tracks[0].pes, *tracks[1].pes))]
        if first.codec == later.codec:
            maps = maps[:1]
    tracks.append(_track_of_sound(choice, sound))
    return _written(
        choice,
        tracks,
        [Program(1, PMT, maps)],
        (PICTURES, pid),
        (SOUND,),
        (*first.numbers, *later.numbers),
        sounds_of(sound),
    )


SCENES: Final[dict[str, Callable[[Choice], Stream]]] = {
    "plain": _plain,
    "unknown-between": _unknown_between,
    "private-sound": _private_sound,
    "two-sounds": _two_sounds,
    "swapped-sounds": _swapped_sounds,
    "sound-later": _sound_later,
    "sound-ends": _sound_ends,
    "sound-returns": _sound_returns,
    "sound-moves": _sound_moves,
    "sound-changes": _sound_changes,
    "sound-changes-in-place": _sound_changes_in_place,
    "two-programs": lambda choice: _two_programs(choice, "both"),
    "first-program-unknown": lambda choice: _two_programs(choice, "unknown"),
    "first-program-silent": lambda choice: _two_programs(choice, "silent"),
    "size-changes": lambda choice: _changed_pictures(choice, "h264-odd"),
    "pictures-change": lambda choice: _changed_pictures(choice, "mpeg2", pid=0x110),
    "pictures-change-in-place": lambda choice: _changed_pictures(choice, "mpeg2"),
    "pictures-move": lambda choice: _changed_pictures(choice, choice.pictures, pid=0x110),
}

CARRIED: Final = (
    *(name for name, kind in elementary.KINDS.items() if kind.codec not in ("av1", "vp9")),
    *fields.NAMES,
)

COMMON: Final = (
    "h264",
    "h264-b",
    "h264-slices",
    "h264-open",
    "h264-refresh",
    "hevc",
    "hevc-b",
    "mpeg2-b",
)


def _each() -> Iterator[Choice]:
    """Each value of each axis, the others plain; layouts with several kinds of pictures."""
    yield Choice()
    for name in CARRIED:
        yield Choice(pictures=name)
        yield Choice(pictures=name, pes="seven", length="zero")
        yield Choice(pictures=name, pes="cut", tables="start")
    for pes in PES:
        for name in COMMON:
            yield Choice(pictures=name, pes=pes)
    for length in LENGTHS:
        for name in ("h264", "h264-big", "hevc", "mpeg2"):
            yield Choice(pictures=name, length=length)
    for voice in elementary.VOICES:
        for blocks in BLOCKS:
            yield Choice(sound=voice, blocks=blocks)
        yield Choice(pictures="none", sound=voice)
    yield Choice(sound="none")
    for tables in TABLES:
        yield Choice(tables=tables)
        yield Choice(pictures="hevc-b", sound="opus", tables=tables, blocks="four")
    for packets in PACKETS:
        for name in ("h264", "h264-slices-b", "hevc", "mpeg2-b"):
            yield Choice(pictures=name, packets=packets)
        yield Choice(packets=packets, length="zero", sound="mp2", blocks="cut")
    for clock in CLOCKS:
        yield Choice(clock=clock)
    for way in WAYS:
        yield Choice(way=way)
        yield Choice(pictures="hevc-b", way=way, length="zero")
    for timing in TIMINGS:
        yield Choice(timing=timing)
        yield Choice(pictures="h264-pyramid", timing=timing, sound="mp2")
        yield Choice(pictures="hevc-b", timing=timing, sound="opus", pes="two")
    for scene in SCENES:
        for voice in ("aac", "ac3", "opus") if scene != "private-sound" else ("ac3", "eac3"):
            yield Choice(scene=scene, sound=voice)
    for scene in ("two-sounds", "sound-later", "two-programs", "sound-moves"):
        yield Choice(pictures="hevc-b", scene=scene, sound="latm")
        yield Choice(pictures="mpeg2-b", scene=scene, sound="mp2")


def _makes_sense(choice: Choice) -> bool:
    """Opus lies whole in PES packets; times that vary must be written; where each field has its
    time the second one's is not its picture's; a clock jumps where nothing refers to what was.
    """
    if choice.blocks.startswith("cut") and choice.sound.startswith("opus"):
        return False
    if "apart" in choice.pictures and choice.pes not in ("picture", "two", "units"):
        return False
    if choice.timing.startswith("sent") and choice.scene != "plain":
        return False
    if choice.timing.startswith("jump") and (
        choice.scene != "plain" or any(each in choice.pictures for each in ("open", "once", "mpeg"))
    ):
        return False
    return choice.timing != "varying" or choice.pes in ("picture", "units")


def _mixed(count: int) -> Iterator[Choice]:
    """Points anywhere, always the same ones."""
    source = random.Random(20_240)
    plain = [name for name in SCENES if "change" not in name and name != "private-sound"]
    for _ in range(count):
        yield Choice(
            pictures=source.choice(CARRIED),
            pes=source.choice(list(PES)),
            length=source.choice(LENGTHS),
            sound=source.choice(list(elementary.VOICES)),
            blocks=source.choice(list(BLOCKS)),
            tables=source.choice(list(TABLES)),
            scene=source.choice(plain) if source.random() < 0.3 else "plain",
            timing=source.choice(TIMINGS) if source.random() < 0.3 else "plain",
            clock=source.choice(list(CLOCKS)),
            packets=source.choice(list(PACKETS)),
            way=source.choice(list(WAYS)) if source.random() < 0.3 else "plain",
        )


SHORT: Final = (
    Choice(),
    Choice(pictures="h264-b", pes="two", length="zero"),
    Choice(pictures="h264-pyramid", sound="mp2", timing="wrap"),
    Choice(pictures="h264-open", pes="cut", tables="start"),
    Choice(pictures="h264-open-no-aud", pes="seven", length="zero"),
    Choice(pictures="h264-refresh", pes="units"),
    Choice(pictures="h264-slices", pes="cut"),
    Choice(pictures="h264-slices-b", packets="stuffed-anywhere"),
    Choice(pictures="h264-mbaff", pes="seven", length="zero"),
    Choice(pictures="h264-sets-once", pes="cut", tables="start"),
    Choice(pictures="h264-fields-bare"),
    Choice(pictures="h264-fields-apart-bare", pes="two"),
    Choice(pictures="h264-fields-once", pes="cut"),
    Choice(pictures="h264-big", length="modulo"),
    Choice(pictures="h264-10bit"),
    Choice(pictures="hevc", pes="seven"),
    Choice(pictures="hevc-open", pes="units"),
    Choice(pictures="hevc-b", sound="opus", tables="long", blocks="four"),
    Choice(pictures="hevc-slices", pes="cut", tables="start"),
    Choice(pictures="mpeg2-b", packets="stuffed-begin"),
    Choice(pictures="mpeg1", pes="seven", length="zero"),
    Choice(pictures="mpeg4-b"),
    Choice(sound="aac-51", blocks="cut"),
    Choice(sound="aac-44", blocks="cut-small"),
    Choice(sound="latm", blocks="cut-large"),
    Choice(sound="mp3", blocks="four"),
    Choice(sound="ac3-51", blocks="twelve"),
    Choice(sound="opus-51", blocks="four"),
    Choice(sound="eac3", scene="private-sound"),
    Choice(pictures="none", sound="mp2"),
    Choice(sound="none"),
    Choice(tables="next"),
    Choice(packets="mixed"),
    Choice(way="twins"),
    Choice(way="junk-between"),
    Choice(timing="jump-back"),
    Choice(timing="sound-after"),
    Choice(timing="pts-some"),
    Choice(scene="two-sounds"),
    Choice(scene="first-program-silent"),
    Choice(scene="sound-later"),
    Choice(scene="sound-moves"),
    Choice(scene="size-changes"),
)
"""What is tried at each change; it has a point of each axis that ever went wrong."""

ALL: Final = tuple(
    choice for choice in dict.fromkeys((*SHORT, *_each(), *_mixed(170))) if _makes_sense(choice)
)
