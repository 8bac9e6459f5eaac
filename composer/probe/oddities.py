"""What is odd about a container, and what to do about it: found from what probe() saw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from composer.media.containers import MAX_PIXELS
from composer.probe.probe import Keys, Probed, TrackInfo

APART_SECONDS: Final = 0.5
"""From here on tracks begin far apart."""

KEY_SECONDS: Final = 10.0
"""From here on somebody who joins waits long."""

SHOWN: Final = 5
"""Numbers and times that are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """One thing that is out of the ordinary.

    advice: what one can do, or what happens by itself. track: its number, None for the whole.
    """

    code: str
    said: str
    advice: str
    track: int | None = None


CODES: Final = {
    "no-decoder": "a track that no decoder here can read",
    "too-large": "pictures larger than what is decoded",
    "empty-track": "a track without one packet in what was read",
    "not-decoded": "a track whose decoder gave nothing",
    "late-track": "a track that a later map of a transport stream names",
    "several-tracks": "more than one track of a kind",
    "several-programs": "more than one programme in a transport stream",
    "next-table": "tables of a transport stream that are not valid yet",
    "other-session": "a session takes other tracks than `byoc run` does",
    "apart": "tracks that begin far apart",
    "before-key": "pictures in front of the first key picture",
    "no-key": "no key picture at all",
    "no-idr": "recovery points, and no IDR picture",
    "far-keys": "key pictures that are far apart",
    "sets-once": "parameter sets that come once only",
    "times-missing": "items without a time",
    "times-repeat": "times that repeat",
    "times-back": "times that go back",
    "times-jump": "a clock that jumps",
    "holes": "steady times with holes",
    "variable-rate": "pictures that are not equally far apart",
    "damaged": "packets or pictures that are damaged",
    "lost-packets": "packets of a transport stream that are missing",
    "scrambled": "packets that cannot be read without a key",
    "broken": "reading that failed on the way",
    "pes-layout": "PES packets that do not hold one picture each",
    "changes": "a size, layout or rate that changes on the way",
    "odd-size": "a width or height that is odd",
    "pixel-shape": "pixels that are not square",
    "rotated": "pictures that are stored on their side or head",
    "interlaced": "pictures of two fields",
    "row-gap": "a row of pictures with numbers missing",
}
"""Every code, and what it stands for; docs/probe.md has the same list."""


def found(probed: Probed) -> list[Oddity]:
    """All that is odd, of the whole first and then track by track."""
    odd = [each for look in _OF_ALL for each in look(probed)]
    for track in probed.tracks:
        if track.cover or track.kind not in ("video", "audio"):
            continue
        odd += [each for look in _OF_TRACK for each in look(track)]
        if track.image is not None:
            odd += [each for look in _OF_PICTURES for each in look(track, probed)]
    return odd


# of the whole


def _several(probed: Probed) -> Iterator[Oddity]:
    for kind, word in (("video", "tracks of pictures"), ("audio", "tracks of sound")):
        usable = [each for each in probed.tracks if _usable(each, kind)]
        if len(usable) > 1 and kind in probed.chosen:
            numbers = ", ".join(str(each.index) for each in usable[: 2 * SHOWN])
            taken = probed.chosen[kind].track
            yield Oddity(
                "several-tracks",
                f"{len(usable)} {word}: {numbers}",
                f"decode takes track {taken}, and the others are left out",
            )


def _programs(probed: Probed) -> Iterator[Oddity]:
    packets = probed.packets
    if packets is None:
        return
    if len(packets.programs) > 1:
        numbers = ", ".join(map(str, list(packets.programs)[:SHOWN]))
        yield Oddity(
            "several-programs",
            f"{len(packets.programs)} programmes: {numbers}",
            "a session takes the first that has a track it can decode, and stays with it",
        )
    if packets.next_tables:
        yield Oddity(
            "next-table",
            f"{_many(packets.next_tables, 'table')} marked as next: what will be, not what is",
            "they are passed over until they come without the mark",
        )


def _unknown(probed: Probed) -> Iterator[Oddity]:
    if probed.packets is not None and probed.packets.unknown:
        types = ", ".join(f"0x{each:02x}" for each in sorted(probed.packets.unknown)[:SHOWN])
        yield Oddity(
            "no-decoder",
            f"tracks of stream type {types}, which nothing here can read",
            "they are left out; convert them where they come from",
        )


def _late(probed: Probed) -> Iterator[Oddity]:
    if probed.packets is None:
        return
    named = {pid for pids in probed.packets.programs.values() for pid in pids}
    if late := sorted(named - {each.id for each in probed.tracks}):
        yield Oddity(
            "late-track",
            f"PID {', '.join(map(str, late[:SHOWN]))} is named by a later map",
            "a session takes it up; byoc run knows the tracks of the beginning alone",
        )


def _other_session(probed: Probed) -> Iterator[Oddity]:
    if probed.session is None:
        return
    ids = {each.index: each.id for each in probed.tracks}
    for kind, word in (("video", "pictures"), ("audio", "sound")):
        choice, taken = probed.chosen.get(kind), probed.session.tracks.get(kind)
        if choice is None or (taken is not None and taken[0] == ids[choice.track]):
            continue
        what = "nothing" if taken is None else f"PID {taken[0]} ({taken[1]})"
        yield Oddity(
            "other-session",
            f"of {word} a session takes {what}, byoc run takes PID {ids[choice.track]}",
            "send only the tracks that are wanted, or put the wanted one first",
        )


def _apart(probed: Probed) -> Iterator[Oddity]:
    starts = {
        each.index: each.times.start
        for each in probed.tracks
        if each.image or each.sound
        if each.times.start is not None and not each.cover
    }
    if len(starts) < 2:
        return
    first, last = min(starts, key=starts.__getitem__), max(starts, key=starts.__getitem__)
    apart = starts[last] - starts[first]
    if apart >= APART_SECONDS:
        yield Oddity(
            "apart",
            f"track {last} begins {apart:.2f} s after track {first}",
            "nothing is moved: until then there is only the other one",
            last,
        )


def _broken(probed: Probed) -> Iterator[Oddity]:
    if probed.broken:
        yield Oddity(
            "broken",
            f"reading failed {_many(probed.broken, 'time')}, and gave {probed.read:.2f} s",
            "copy it anew, or ask its sender: bytes are missing or wrong",
        )


def _packets(probed: Probed) -> Iterator[Oddity]:
    packets = probed.packets
    if packets is None:
        return
    lost, scrambled = packets.lost.total() + packets.strayed, packets.scrambled.total()
    if lost:
        pids = ", ".join(str(pid) for pid, _ in packets.lost.most_common(SHOWN))
        where = f" (PID {pids})" if pids else ""
        yield Oddity(
            "lost-packets",
            f"packets of the transport stream are missing in {_many(lost, 'place')}{where}",
            "look for loss on the way here; pictures may be damaged up to the next key picture",
        )
    if packets.damaged:
        yield Oddity(
            "damaged",
            f"{packets.damaged} packets of the transport stream are marked as damaged",
            "look for faults on the way here",
        )
    if scrambled:
        yield Oddity(
            "scrambled",
            f"{scrambled} of {packets.packets} packets are scrambled",
            "it must come without scrambling: there is no key here",
        )


def _row(probed: Probed) -> Iterator[Oddity]:
    row = probed.row
    present = set(row)
    missing = [each for each in range(row[0], row[-1]) if each not in present] if row else []
    if missing:
        named = ", ".join(map(str, missing[:SHOWN])) + (", ..." if len(missing) > SHOWN else "")
        yield Oddity(
            "row-gap",
            f"the row goes from {row[0]} to {row[-1]}, without {named}",
            "number the pictures anew, or bring the missing ones",
        )


_OF_ALL: Final[tuple[Callable[[Probed], Iterator[Oddity]], ...]] = (
    *(_broken, _packets, _row, _programs, _unknown, _late, _several, _other_session, _apart),
)


# of a track


def _decoder(track: TrackInfo) -> Iterator[Oddity]:
    if not track.decodes:
        yield Oddity(
            "no-decoder",
            f"track {track.index} ({track.kind}) is in a codec that no decoder here knows",
            "it is left out; convert it where it comes from",
            track.index,
        )
    elif track.image and track.image.width * track.image.height > MAX_PIXELS:
        yield Oddity(
            "too-large",
            f"pictures of {track.image.width}x{track.image.height} are too large to be decoded",
            f"make them smaller: {MAX_PIXELS} pixels are the most",
            track.index,
        )
    elif not track.packets:
        yield Oddity(
            "empty-track",
            f"track {track.index} ({track.codec}) is named, and nothing of it came",
            "nothing waits for it; look whether its sender has it",
            track.index,
        )
    elif not track.decoded and (track.failed or track.image):
        yield Oddity(
            "not-decoded",
            f"the decoder makes nothing of {_many(track.packets, 'packet')} of track {track.index}"
            f" ({track.codec})",
            "byoc run ends with nothing of it; convert it where it comes from",
            track.index,
        )


def _times_missing(track: TrackInfo) -> Iterator[Oddity]:
    times, what = track.times, "pictures" if track.image else "packets"
    if times.missing:
        yield Oddity(
            "times-missing",
            f"{times.missing} of {track.packets} {what} of track {track.index} have no time",
            "it follows from their order; a muxer that writes them all leaves nothing to guess",
            track.index,
        )


def _times_order(track: TrackInfo) -> Iterator[Oddity]:
    times, repeated = track.times, track.times.repeated
    if repeated:
        yield Oddity(
            "times-repeat",
            f"times of track {track.index} repeat {_many(repeated, 'time')}",
            "such ones are left out and counted; mend the muxer that wrote them",
            track.index,
        )
    back = max(times.back, track.astray - repeated - len(times.jumps))
    if back > 0:
        yield Oddity(
            "times-back",
            f"times of track {track.index} go back {_many(back, 'time')}",
            "what goes back is left out and counted; mend the muxer that wrote it",
            track.index,
        )


def _times_gaps(track: TrackInfo) -> Iterator[Oddity]:
    times = track.times
    if times.jumps:
        first, more = times.jumps[0], len(times.jumps) - 1
        others = f", and {_many(more, 'time')} more" if more else ""
        yield Oddity(
            "times-jump",
            f"the clock of track {track.index} jumps by {first.by:+.2f} s behind {first.at:.2f} s"
            f"{others}",
            "in MPEG-TS time goes on as if it had not; elsewhere a pause is believed",
            track.index,
        )
    if times.holes and (track.image is None or times.steady):
        yield Oddity(
            "holes",
            f"{_many(times.holes, 'hole')} in track {track.index}, the longest of"
            f" {times.longest:.2f} s behind {times.longest_at:.2f} s",
            "what is missing stays missing; {type: fps} repeats pictures",
            track.index,
        )


def _damaged(track: TrackInfo) -> Iterator[Oddity]:
    marked = f"{_many(track.damaged, 'packet')} marked so" if track.damaged else ""
    refused = f"{_many(track.failed, 'packet')} refused by the decoder"
    refused = refused if track.failed and track.decoded else ""
    partly = f"{_many(track.in_part, 'picture')} decoded in part" if track.in_part else ""
    if words := ", ".join(filter(None, (marked, refused, partly))):
        yield Oddity(
            "damaged",
            f"track {track.index} is damaged: {words}",
            "they are left out and counted; copy the input anew, or ask its sender",
            track.index,
        )


def _changes(track: TrackInfo) -> Iterator[Oddity]:
    forms = (track.image or track.sound).forms if track.image or track.sound else ()  # type: ignore[union-attr]
    if len(forms) > 1:
        named = ", then ".join(forms[:SHOWN])
        yield Oddity(
            "changes",
            f"track {track.index} changes on the way: {named}",
            "a resize behind decode gives all pictures one size"
            if track.image
            else "it is mixed anew",
            track.index,
        )


_OF_TRACK: Final[tuple[Callable[[TrackInfo], Iterator[Oddity]], ...]] = (
    *(_decoder, _damaged, _changes, _times_missing, _times_order, _times_gaps),
)


# of pictures


def _keys(track: TrackInfo, probed: Probed) -> Iterator[Oddity]:
    assert track.image is not None
    keys, at = track.image.keys, track.index
    if not keys.starts:
        if track.packets:
            yield Oddity(
                "no-key",
                f"no key picture among the {track.packets} pictures of track {at}",
                "nothing can be decoded with certainty: let the encoder write one each 2 s",
                at,
            )
        return
    yield from _first_key(track, keys)
    yield from _more_keys(track, keys, probed)


def _first_key(track: TrackInfo, keys: Keys) -> Iterator[Oddity]:
    at = track.index
    if keys.before:
        yield Oddity(
            "before-key",
            f"track {at} begins with {keys.before} pictures in front of its first key picture",
            "they cannot be decoded and are left out",
            at,
        )
    if "recovery" in keys.starts and "idr" not in keys.starts:
        yield Oddity(
            "no-idr",
            f"track {at} has {keys.starts['recovery']} recovery points and no IDR picture",
            "decoding begins at a recovery point; not every player can do so",
            at,
        )


def _more_keys(track: TrackInfo, keys: Keys, probed: Probed) -> Iterator[Oddity]:
    at = track.index
    if keys.longest_seconds > KEY_SECONDS:
        yield Oddity(
            "far-keys",
            f"key pictures of track {at} are {keys.longest_seconds:.1f} s apart",
            "who joins, or has lost something, waits as long: encode with keyframe_s: 2",
            at,
        )
    starts = sum(keys.starts.values())
    if keys.sets == 1 and starts > 1 and _in_band(probed):
        yield Oddity(
            "sets-once",
            f"the parameter sets of track {at} come once, before {starts} key pictures",
            "who joins later cannot decode it: let the encoder repeat them (repeat-headers=1)",
            at,
        )


def _layout(track: TrackInfo, probed: Probed) -> Iterator[Oddity]:
    """Pictures and the PES packets that begin, which no parser has put right."""
    packets = probed.packets
    if packets is None or not packets.pes[track.id]:
        return
    begun, pictures = packets.pes[track.id], track.packets
    if abs(pictures - begun) > max(2, begun // 50):
        how = "several pictures in one" if pictures > begun else "one picture in several"
        yield Oddity(
            "pes-layout",
            f"{pictures} pictures of track {track.index} in {begun} PES packets: {how}",
            "boundaries are found in the pictures themselves, which may cost a picture of delay",
            track.index,
        )


def _rate(track: TrackInfo, probed: Probed) -> Iterator[Oddity]:
    times = track.times
    if times.steady is False and not times.missing:
        yield Oddity(
            "variable-rate",
            f"track {track.index} has a variable rate: {times.rate:.2f} pictures a second, the"
            f" longest shows {times.longest:.2f} s",
            "times stay as they are; {type: fps} makes them even",
            track.index,
        )


def _shape(track: TrackInfo, probed: Probed) -> Iterator[Oddity]:
    image, at = track.image, track.index
    assert image is not None
    if (image.width % 2 or image.height % 2) and image.width:
        yield Oddity(
            "odd-size",
            f"pictures of {image.width}x{image.height}: most codecs want even numbers",
            "encode makes them even; crop or resize says how",
            at,
        )
    if image.pixel_shape not in ("", "1:1"):
        yield Oddity(
            "pixel-shape",
            f"pixels of {image.pixel_shape}: {image.width}x{image.height} is meant to be seen as"
            f" {image.shape}",
            "the shape goes along to the output; {type: filter, graph: 'scale=iw*sar:ih,setsar=1'}"
            " makes them square",
            at,
        )
    if image.rotation:
        yield Oddity(
            "rotated",
            f"pictures are stored turned; {image.rotation} degrees clockwise make them upright",
            "decode turns them: width and height change places"
            if image.rotation % 180
            else "decode turns them",
            at,
        )
    if image.interlaced or image.order not in ("", "progressive"):
        order = image.order if image.order != "progressive" else ""
        yield Oddity(
            "interlaced",
            f"pictures are interlaced{', ' + order if order else ''}",
            "{type: filter, graph: yadif} makes whole pictures of the fields",
            at,
        )


_OF_PICTURES: Final[tuple[Callable[[TrackInfo, Probed], Iterator[Oddity]], ...]] = (
    *(_keys, _layout, _rate, _shape),
)


def _usable(track: TrackInfo, kind: str) -> bool:
    return track.kind == kind and track.decodes and not track.cover


def _in_band(probed: Probed) -> bool:
    """Whether the container has no place of its own for parameter sets."""
    return probed.format in ("mpegts", "mpeg", "h264", "hevc")


def _many(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
