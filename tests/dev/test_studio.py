"""The studio over HTTP, with a real session behind it."""

import asyncio
import io
import itertools
from pathlib import Path
from typing import Any

import av
import PIL.Image
import pytest
from typer.testing import CliRunner

from composer import limits
from composer.command.cli import app
from composer.dev.ongoing import RETRY_SECONDS
from tests.dev.developing import READS, Desk, developing, makes, ran
from tests.server import streams


def times(data: bytes) -> list[float]:
    """Seconds of the pictures in some MPEG-TS."""
    opened: Any
    with av.open(io.BytesIO(data), format="mpegts") as opened:
        found = [packet.pts * packet.time_base for packet in opened.demux(video=0) if packet.pts]
    return [float(each) for each in found]


def flows(state: dict[str, Any]) -> bool:
    nodes = state["live"]["nodes"]
    return bool(nodes) and nodes["out"]["fps"] > 5


def given(state: dict[str, Any]) -> int:
    return int(state["live"]["nodes"].get("source", {"given": 0})["given"])


def test_the_state_tells_of_plan_numbers_and_params(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path) as desk:
            state = await desk.until(flows)
            assert state["capability"] == "reads"
            assert state["graph"]["steps"]["look"]["type"] == "color"
            formats = {edge["to"]: edge["format"] for edge in state["graph"]["edges"]}
            assert formats["look.image"].endswith("160x96")
            assert state["live"]["nodes"]["look"]["ms"] > 0
            assert state["live"]["edges"]["look.image -> out.image"]["fps"] > 5
            gamma = state["params"]["schema"]["properties"]["gamma"]
            assert (gamma["type"], gamma["minimum"], gamma["maximum"]) == ("number", 0.5, 2)
            assert state["params"]["values"]["gamma"] == 1
            assert state["session"]["state"] == "ONLINE"
            assert state["problems"] == []

    ran(test)


def test_input_and_output_come_as_mpeg_ts(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path) as desk:
            for path, size in (("/dev/input.ts", (960, 540)), ("/dev/output.ts", (160, 96))):
                data = await desk.bytes_of(path, 100 * 188)
                opened: Any
                with av.open(io.BytesIO(data), format="mpegts") as opened:
                    image = next(opened.decode(video=0))
                assert (image.width, image.height) == size

    ran(test)


def test_a_clip_is_looped_as_the_input(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(streams.clip_bytes(20))

    async def test() -> None:
        async with developing(READS, tmp_path, clip=str(clip)) as desk:
            state = await desk.until(lambda state: given(state) > 60)
            assert state["session"]["started"] == 1
            assert state["live"]["nodes"]["source"]["errors"] == 0

    ran(test)


def test_the_rate_of_a_source_is_that_of_its_pictures_not_of_its_sound(tmp_path: Path) -> None:
    text = makes().replace("fps: 25,", "fps: 25, tone: 440,")

    async def test() -> None:
        async with developing(text, tmp_path) as desk:
            state = await desk.until(
                lambda state: (
                    flows(state) and state["live"]["edges"]["source.audio -> out.audio"]["fps"] > 35
                )
            )
            assert 5 < state["live"]["nodes"]["source"]["fps"] < 35
            assert 5 < state["live"]["nodes"]["out"]["fps"] < 35

    ran(test)


def test_a_change_of_params_is_applied_and_shown(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path) as desk:
            await desk.until(flows)
            status, body = await desk.post("/dev/params", {"brightness": 0.4})
            assert (status, body["params"]["brightness"]) == (200, 0.4)
            assert body["pts_seconds"] > 0
            await desk.until(lambda state: state["params"]["values"]["brightness"] == 0.4)

    ran(test)


def test_a_wrong_change_is_refused_with_a_problem_per_field(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path) as desk:
            await desk.until(flows)
            status, body = await desk.post("/dev/params", {"gamma": 9, "brightnes": 1})
            assert status == 422
            assert [(each["field"], each["code"]) for each in body["problems"]] == [
                ("gamma", "bad-value"),
                ("brightnes", "unknown-param"),
            ]
            assert body["problems"][0]["message"].endswith("less than or equal to 2, got 9.0")
            assert body["problems"][1]["hint"] == "did you mean 'brightness'?"
            state = await desk.get("/dev/state")
            assert state["params"]["values"] == {"brightness": 0, "gamma": 1}

    ran(test)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"{'a': 1}"])
def test_a_change_that_is_no_json_is_refused(body: bytes, tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(flows)
            kind = {"Content-Type": "application/json"} | desk.shown
            address = f"{desk.studio.address}/dev/params"
            async with desk.http.post(address, data=body, headers=kind) as response:
                assert response.status == 400

    ran(test)


def test_a_session_that_ends_is_followed_by_another_with_the_same_params(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(0.6), tmp_path) as desk:
            await desk.until(flows)
            assert (await desk.post("/dev/params", {"radius": 7}))[0] == 200
            data = await desk.bytes_of("/dev/output.ts", 188 * 400)
            state = await desk.until(lambda state: state["session"]["started"] >= 3)
            assert state["params"]["values"] == {"radius": 7}
            assert not state["session"]["input"]
            found = times(data)
            assert found == sorted(set(found)), "the times go on over the sessions"
            assert max(b - a for a, b in itertools.pairwise(found)) < 0.5

    ran(test)


def test_sessions_that_end_at_once_do_not_follow_each_other_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with developing(makes(0.04), tmp_path) as desk:
            # A busy machine may show some of them late, so they are set against all of the time.
            state = await desk.until(lambda state: state["session"]["started"] > 1)
            assert loop.time() - began > RETRY_SECONDS * (state["session"]["started"] - 1)

    ran(test)


@pytest.mark.parametrize("text", [READS, makes()], ids=["an input", "pictures of its own"])
def test_a_pause_holds_pictures_still_until_it_is_over(text: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(text, tmp_path) as desk:
            await desk.until(flows)
            assert await desk.post("/dev/pause", {}) == (200, {"paused": True})
            still = await desk.until(_stands(desk))
            assert still["session"]["paused"]
            assert await desk.post("/dev/pause", {"paused": False}) == (200, {"paused": False})
            await desk.until(flows)

    ran(test)


def _stands(desk: Desk) -> Any:
    """Whether no bytes came since the last look, twice."""
    seen: list[int] = []

    def stands(state: dict[str, Any]) -> bool:
        seen.append(state["session"]["output_bytes"])
        return len(seen) > 2 and len(set(seen[-3:])) == 1

    return stands


def test_a_snapshot_is_the_newest_picture_as_png(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(flows)
            address = f"{desk.studio.address}/dev/snapshot"
            async with desk.http.post(address, json={}, headers=desk.shown) as response:
                assert (response.status, response.content_type) == (200, "image/png")
                picture = PIL.Image.open(io.BytesIO(await response.read()))
            assert picture.size == (160, 96)
            red, _, blue = picture.getpixel((150, 30))  # type: ignore[misc]
            assert blue > 150 > red, "the rightmost bar is blue"

    ran(test)


def test_a_rebuild_is_told_everywhere(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(flows)
            status, body = await desk.post("/dev/rebuild", {})
            assert (status, body["outcome"]) == (200, "rebuilt")
            state = await desk.until(lambda state: state["reloads"])
            assert state["reloads"][0]["outcome"] == "rebuilt"
            assert any("rebuilt" in line for line in desk.said)
            await desk.until(flows)

    ran(test)


def test_a_save_is_applied_and_a_broken_one_is_shown_with_its_line(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(flows)
            desk.file.write_text(makes().replace("radius: 2}", "radius: 5}"))
            state = await desk.until(lambda state: state["reloads"])
            made = state["reloads"][0]
            assert (made["outcome"], made["nodes"]) == ("patched", ["soft"])
            assert made["changed"] == ["pipeline.yaml"]
            desk.file.write_text(makes().replace("type: blur", "type: blurr"))
            state = await desk.until(lambda state: state["problems"])
            problem = state["problems"][0]
            assert (problem["line"], problem["column"]) == (6, 18)
            assert problem["message"] == "no node type 'blurr'"
            assert problem["hint"] == "did you mean 'blur'?"
            assert problem["text"] == "  soft:   {type: blurr, radius: 2}"
            assert "refused" in desk.said[-1]
            assert "^^^^^ did you mean 'blur'?" in desk.said[-1]
            await desk.until(flows)
            desk.file.write_text(makes())
            await desk.until(lambda state: not state["problems"])

    ran(test)


def test_a_pipeline_that_begins_to_read_is_fed(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            await desk.until(flows)
            desk.file.write_text(READS)
            await desk.until(lambda state: state["session"]["input"] and flows(state))
            await desk.bytes_of("/dev/input.ts", 188)

    ran(test)


def test_the_graph_is_drawn(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(makes(), tmp_path) as desk:
            address = f"{desk.studio.address}/graph.svg"
            async with desk.http.get(address, headers=desk.shown) as response:
                assert response.content_type == "image/svg+xml"
                assert "soft" in await response.text()

    ran(test)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/dev/params", b"{", 400, "the body is not JSON: Expecting property name"),
        ("/dev/params", b"[" + b"[]," * 9000 + b"0]", 413, "the body has more than 5000 values"),
        (
            "/dev/params",
            b'"' + b"x" * (1 << 20) + b'"',
            413,
            "the body has more than 1048576 bytes",
        ),
        ("/dev/pause", b"\xff", 400, "the body is not UTF-8"),
    ],
)
def test_bodies_that_cannot_be_used_are_refused_as_the_worker_does(
    tmp_path: Path, path: str, body: bytes, status: int, said: str
) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path) as desk:
            await desk.until(lambda state: state["session"]["state"] == "ONLINE")
            headers = {**desk.shown, "Content-Type": "application/json"}
            address = desk.studio.address + path
            async with desk.http.post(address, data=io.BytesIO(body), headers=headers) as answer:
                told = await answer.json()
                assert (answer.status, told["status"]) == (status, "error")
                assert told["message"].startswith(said)

    ran(test)


def test_what_the_page_takes_can_be_set(tmp_path: Path) -> None:
    async def test() -> None:
        async with developing(READS, tmp_path, wire=limits.read("dev=1K")) as desk:
            status, answer = await desk.post("/dev/pause", {"note": "x" * 1024})
            assert (status, answer["message"]) == (413, "the body has more than 1024 bytes")

    ran(test)


def test_limits_that_cannot_be_used_are_said_before_anything_begins(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(READS, encoding="utf-8")
    done = CliRunner().invoke(app, ["dev", str(file), "--limits", "dev=1"])
    assert done.exit_code == 2
    assert done.stderr == "byoc: --limits (BYOC_LIMITS) dev should be at least 1024\n"
