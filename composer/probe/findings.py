"""What `byoc probe` finds of an input: a file, a URL, a row of pictures or a channel."""

import asyncio
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from composer.errors import ChannelLost, MediaError
from composer.probe import oddities, probe
from composer.probe.oddities import Oddity
from composer.probe.probe import Image, Probed, TrackInfo
from composer.trickle import excerpt
from composer.trickle.excerpt import Excerpt
from composer.trickle.http import open_http

FILE_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 6.0
"""What is read of a file, and of a URL or a channel, where nobody says how much."""

MOST_BYTES: Final = 256 << 20
"""Bytes of a channel that are kept at the most."""

CODES: Final = oddities.CODES | {
    "segment-gap": "segments of a channel that are missing",
    "segment-torn": "segments of a channel that were broken off",
    "segment-bare": "segments of a channel that do not begin with the tables",
}


@dataclass(frozen=True)
class Findings:
    """What was found. channel: how it came, where it is one."""

    probed: Probed
    channel: Excerpt | None
    odd: tuple[Oddity, ...]


def look(source: str, seconds: float | None = None) -> Findings:
    """Look at an input. seconds: how much of it to read, None for what is usual.

    Raises MediaError or TrickleError where nothing can be read.
    """
    remote = "://" in source
    limit = (LIVE_SECONDS if remote else FILE_SECONDS) if seconds is None else seconds
    if source.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "channel"
            taken = asyncio.run(_taken(source, path, limit))
            if taken is not None:
                return _of_channel(source, path, taken)
    probed = probe.probe(source, seconds=limit)
    return Findings(probed, None, tuple(oddities.found(probed)))


async def _taken(url: str, path: Path, seconds: float) -> Excerpt | None:
    """An excerpt of a channel; None where the URL is none."""
    # Orchestrators sign their own certificates, and nothing is told to them.
    async with open_http(verify_tls=False) as http:
        if not await excerpt.is_channel(http, url):
            return None
        with path.open("wb") as file:
            return await excerpt.take(http, url, file, seconds=seconds, most=MOST_BYTES)


def _of_channel(url: str, path: Path, taken: Excerpt) -> Findings:
    name = f"channel {url.rstrip('/').rsplit('/', 1)[-1]}"
    if not taken.bytes:
        why = "it has ended" if taken.ended else "nobody has written to it"
        raise ChannelLost(f"{name}: {why}, and there is nothing to read")
    try:
        probed = probe.probe(str(path), name=name, segments=True)
    except MediaError as exc:
        said = f"{name}: the {taken.bytes} bytes that came are no media that can be read"
        raise MediaError(said) from exc
    return Findings(probed, taken, (*_odd(taken), *oddities.found(probed)))


def _odd(taken: Excerpt) -> list[Oddity]:
    odd = []
    if taken.gaps:
        said = f"segments are missing in {taken.gaps} places"
        odd.append(
            Oddity("segment-gap", said, "its publisher leaves numbers out, or we were too slow")
        )
    if taken.torn:
        said = f"{taken.torn} of {taken.segments} segments were broken off"
        odd.append(Oddity("segment-torn", said, "its publisher was cut off, or began anew"))
    if taken.bare:
        said = f"{taken.bare} of {taken.segments} segments do not begin with the tables"
        odd.append(Oddity("segment-bare", said, "who joins there waits for the next tables"))
    return odd


# as data


def as_data(found: Findings) -> dict[str, Any]:
    """The same for a program; docs/probe.md explains each key."""
    probed = found.probed
    return {
        "input": probed.name,
        "format": probed.format,
        "start": _rounded(probed.start),
        "seconds": _rounded(probed.seconds),
        "bytes": probed.bytes,
        "bit_rate": probed.bit_rate,
        "read_seconds": _rounded(probed.read),
        "whole": probed.whole,
        "unreadable": probed.unreadable,
        "tracks": [_rounded(asdict(each)) for each in probed.tracks],
        "chosen": {
            "run": {kind: asdict(each) for kind, each in probed.chosen.items()},
            "session": _session(probed),
        },
        "transport": _transport(probed),
        "row": list(probed.row) or None,
        "channel": None if found.channel is None else asdict(found.channel),
        "odd": [asdict(each) for each in found.odd],
    }


def _session(probed: Probed) -> dict[str, Any] | None:
    if probed.session is None:
        return None
    session = probed.session
    return {
        kind: {"pid": pid, "codec": codec, "units": session.units[kind]}
        for kind, (pid, codec) in session.tracks.items()
    }


def _transport(probed: Probed) -> dict[str, Any] | None:
    packets = probed.packets
    if packets is None:
        return None
    return {
        "packet_bytes": packets.stride,
        "packets": packets.packets,
        "programs": {str(number): list(pids) for number, pids in packets.programs.items()},
        "next_tables": packets.next_tables,
        "lost": packets.lost.total() + packets.strayed,
        "scrambled": packets.scrambled.total(),
        "pes": {str(pid): count for pid, count in sorted(packets.pes.items())},
    }


def _rounded(value: Any) -> Any:
    """Times to a millionth."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


# as text

STARTS: Final = {
    "idr": "IDR",
    "cra": "CRA",
    "bla": "BLA",
    "recovery": "by recovery point",
    "key": "key",
}
KINDS: Final = {"video": "pictures", "audio": "sound", "subtitle": "subtitles"}


def text(found: Findings) -> str:
    """What was found, and what is odd about it, for a reader."""
    probed = found.probed
    lines = [_headline(probed), _read(found)]
    for track in probed.tracks:
        lines += ["", *_track(track, probed)]
    lines += ["", *_chosen(probed), ""]
    if not found.odd:
        return "\n".join((*lines, "nothing odd", ""))
    lines.append(f"{len(found.odd)} odd {'thing' if len(found.odd) == 1 else 'things'}")
    for odd in found.odd:
        lines += [f"  {odd.code}: {odd.said}", f"      {odd.advice}"]
    return "\n".join((*lines, ""))


def _headline(probed: Probed) -> str:
    words = [probed.long_name]
    if probed.seconds is not None:
        words.append(f"{probed.seconds:.2f} s")
    if probed.bytes:
        words.append(f"{probed.bytes} bytes")
    if probed.bit_rate:
        words.append(f"{probed.bit_rate / 1000:.0f} kbit/s")
    if probed.row:
        words.append(f"{len(probed.row)} pictures")
    return f"{probed.name}: {', '.join(words)}"


def _read(found: Findings) -> str:
    probed = found.probed
    said = f"read {probed.read:.2f} s{', which is all' if probed.whole else ''}"
    if found.channel is not None:
        segments = f"{found.channel.segments} segment{'' if found.channel.segments == 1 else 's'}"
        said = f"read {probed.read:.2f} s of the channel, {segments}"
        said += ", to its end" if found.channel.ended else ""
    packets = probed.packets
    if packets is None:
        return said
    programs = ", ".join(
        f"programme {number} with PID {', '.join(map(str, pids))}"
        for number, pids in packets.programs.items()
    )
    return f"{said}\n{packets.packets} packets of {packets.stride} bytes; {programs or 'no tables'}"


def _track(track: TrackInfo, probed: Probed) -> list[str]:
    kind = "cover" if track.cover else KINDS.get(track.kind, track.kind)
    codec = track.codec or "unknown codec"
    profile = f" ({track.profile})" if track.profile else ""
    number = f", PID {track.id}" if probed.packets else ""
    lines = [f"track {track.index}: {kind}, {codec}{profile}{number}"]
    if track.image is not None:
        lines += _image(track.image, track)
    if track.sound is not None:
        sound = track.sound
        lines.append(_row("samples", f"{sound.rate} Hz", sound.layout, sound.format))
    times = track.times
    span = f"{times.start:.3f} s to {times.end:.3f} s" if times.start is not None else "no times"
    length = f"{track.seconds:.3f} s in all" if track.seconds is not None else ""
    lines.append(_row("times", span, length, f"time base {track.time_base}"))
    held = f"of {track.frames} " if track.frames else ""
    gave = f"{track.decoded} decoded" if track.decodes else ""
    lines.append(_row("packets", f"{track.packets} {held}read", f"{track.bytes} bytes", gave))
    if track.language or track.marks:
        language = ascii(track.language)[1:-1]  # a file may say anything
        lines.append(_row("marks", language, *track.marks))
    return lines


def _image(image: Image, track: TrackInfo) -> list[str]:
    shape = f"pixels {image.pixel_shape}, seen as {image.shape}" if image.pixel_shape else ""
    lines = [
        _row("size", f"{image.width}x{image.height}", image.layout, shape),
        _row(
            "form",
            image.order or ("interlaced" if image.interlaced else ""),
            f"{image.rotation} degrees clockwise to be upright" if image.rotation else "upright",
            "with alpha" if image.alpha else "no alpha",
        ),
    ]
    if any(image.color.values()):
        lines.append(
            _row("colour", *(f"{key} {said}" for key, said in image.color.items() if said))
        )
    if track.packets < 2:
        return lines
    times = track.times
    nominal = f"{track.nominal:.5g}/s nominal" if track.nominal else ""
    measured = f"{times.rate:.5g}/s measured" if times.rate else ""
    even = {True: "constant", False: "variable", None: ""}[times.steady]
    lines.append(_row("rate", nominal, measured, even))
    keys = image.keys
    kinds = ", ".join(f"{count} {STARTS[kind]}" for kind, count in keys.starts.items()) or "none"
    apart = f"at most {keys.longest} pictures or {keys.longest_seconds:.2f} s from one on"
    lines.append(
        _row(
            "keys",
            kinds,
            apart if keys.starts else "",
            "B-frames" if image.reordered else "no B-frames",
            f"{keys.sets} with parameter sets" if keys.sets else "",
        )
    )
    return lines


def _chosen(probed: Probed) -> list[str]:
    lines = ["decode takes"]
    for kind, choice in sorted(probed.chosen.items(), reverse=True):
        lines.append(_row(KINDS[kind], f"track {choice.track}, {choice.why}"))
    if not probed.chosen:
        lines.append("  nothing")
    if probed.session is not None:
        lines.append("a session takes the first of a kind in the first programme that has one")
        for kind, (pid, codec) in sorted(probed.session.tracks.items(), reverse=True):
            lines.append(_row(KINDS[kind], f"PID {pid} ({codec})"))
        if not probed.session.tracks:
            lines.append("  nothing")
    return lines


def _row(title: str, *words: str) -> str:
    return f"  {title:9} {', '.join(filter(None, words))}"
