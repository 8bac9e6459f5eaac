"""`byoc probe`: where an input comes from, and how the answer reads."""

import asyncio
import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from composer.errors import ChannelLost, MediaError
from composer.probe import findings
from composer.probe.findings import Findings
from composer.probe.probe import Image, Keys, SoundInfo, TrackInfo
from composer.probe.times import Verdict
from composer.trickle import excerpt
from composer.trickle.server import TrickleServer
from tests.clips import BUNNY, ROOT, fetched
from tests.media import films, transport


def shown(looked: Findings) -> str:
    return findings.text(looked)


@contextlib.asynccontextmanager
async def channel(*segments: bytes) -> AsyncIterator[str]:
    async with TrickleServer().serving() as base, aiohttp.ClientSession() as http:
        async with http.post(f"{base}/secret-in"):
            pass
        for seq, body in enumerate(segments):
            async with http.post(f"{base}/secret-in/{seq}", data=body):
                pass
        yield f"{base}/secret-in"


def looked_at(*segments: bytes) -> Findings:
    async def run() -> Findings:
        async with channel(*segments) as url:
            return await asyncio.to_thread(findings.look, url, 0.2)

    return asyncio.run(run())


def test_a_file_as_text(tmp_path: Path) -> None:
    path = films.write_film(
        tmp_path / "film.mp4",
        films.numbered(20),
        options={"g": "10", "bf": "0"},
        rotation=(90, False, False),
    )
    looked = findings.look(str(path))
    size = looked.probed.tracks[0].bytes
    head, *lines = shown(looked).splitlines()
    assert head.startswith("film.mp4: QuickTime / MOV, 0.80 s, ")
    assert lines == [
        "read 0.80 s, which is all",
        "",
        "track 0: pictures, h264 (High)",
        "  size      64x48, yuv420p",
        "  form      progressive, 270 degrees clockwise to be upright, no alpha",
        "  rate      25/s nominal, 25/s measured, constant",
        "  keys      2 IDR, at most 10 pictures or 0.40 s from one on, no B-frames",
        "  times     0.000 s to 0.760 s, 0.800 s in all, time base 1/12800",
        f"  packets   20 of 20 read, {size} bytes, 20 decoded",
        "  marks     und, default",
        "",
        "decode takes",
        "  pictures  track 0, the only one",
        "",
        "1 odd thing",
        "  rotated: pictures are stored turned; 270 degrees clockwise make them upright",
        "      decode turns them: width and height change places",
    ]


def test_nothing_odd() -> None:
    assert shown(findings.look(str(fetched(BUNNY)))).endswith("\n\nnothing odd\n")


def test_a_file_as_data() -> None:
    looked = findings.look(str(fetched(BUNNY)))
    data = json.loads(json.dumps(findings.as_data(looked)))
    assert (data["input"], data["odd"], data["unreadable"]) == ("bigbuckbunny.mp4", [], "")
    assert [each["codec"] for each in data["tracks"]] == ["h264", "aac"]
    assert data["chosen"]["run"]["audio"] == {"track": 1, "why": "the only one"}
    assert (data["transport"], data["channel"], data["row"]) == (None, None, None)


def test_a_channel() -> None:
    looked = looked_at(transport.stream(audio="aac", frames=20))
    assert looked.channel is not None
    assert (looked.channel.segments, looked.odd) == (1, ())
    assert "channel secret-in: MPEG-TS" in shown(looked)
    assert "of the channel, 1 segment\n" in shown(looked)
    assert findings.as_data(looked)["chosen"]["session"]["video"]["pid"] == 256


def test_segments_that_begin_anew_and_are_cut_are_not_damaged() -> None:
    data = transport.stream(frames=20)
    (joined,) = {each.damaged for each in looked_at(data + data[:-188]).probed.tracks}
    assert joined == 0


def test_a_channel_that_is_odd() -> None:
    packets = transport.packets(transport.stream(frames=20))
    again = b"".join(packets[:3])
    looked = looked_at(b"".join(packets[3:]) + again + b"".join(packets[3:]))
    assert looked.odd[0].code == "segment-bare"
    assert looked.odd[0].said == "1 of 1 segments do not begin with the tables"


def test_a_channel_of_something_else() -> None:
    with pytest.raises(MediaError, match=r"^channel secret-in: the 8 bytes that came are no media"):
        looked_at(b'{"a": 1}')


def test_a_channel_that_nobody_writes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpt, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(ChannelLost, match=r"^channel secret-in: nobody has written to it"):
        looked_at()


def test_a_url_that_is_no_channel() -> None:
    data = transport.stream(frames=20)

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=data) if request.path == "/clip.ts" else web.Response(status=404)

    async def run() -> Findings:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            return await asyncio.to_thread(findings.look, f"http://127.0.0.1:{port}/clip.ts")
        finally:
            await runner.cleanup()

    looked = asyncio.run(run())
    assert looked.channel is None
    assert (looked.probed.tracks[0].packets, looked.odd) == (20, ())


# the page


def named(page: str, title: str) -> list[str]:
    """What the first column of the table below a heading names."""
    section = page.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"`([\w-]+)`", "\n".join(re.findall(r"^\|([^|]*)\|", section, re.M)))


def fields(cls: Any) -> set[str]:
    return {each.name for each in dataclasses.fields(cls)}


def test_the_page_explains_every_code() -> None:
    page = (ROOT / "docs" / "probe.md").read_text()
    assert set(named(page, "What is odd")) == set(findings.CODES)


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("As data", lambda: set(findings.as_data(findings.look(str(fetched(BUNNY)))))),
        ("A track", lambda: fields(TrackInfo)),
        ("Times", lambda: fields(Verdict)),
        ("Pictures", lambda: fields(Image) | fields(Keys)),
        ("Sound", lambda: fields(SoundInfo)),
    ],
)
def test_the_page_explains_every_key(title: str, keys: Callable[[], set[str]]) -> None:
    page = (ROOT / "docs" / "probe.md").read_text()
    assert set(named(page, title)) == keys()
