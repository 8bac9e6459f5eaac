"""The bench of devices runs, on a CPU too, and its table says what it measured."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed")

from bench import gpu, results  # noqa: E402 - after the skip
from bench.gpu import Row  # noqa: E402
from composer.device import lanes, tensors  # noqa: E402
from tests.clips import ROOT  # noqa: E402

BLOCKS = ["upload", "NV12 -> RGB", "resize", "normalise", "network", "feed, network, mix"]
CHAINS = ["chain, plain loop", "chain, one lane", "chain, overlapped lanes"]
BATCHES = [f"network, batch of {count}" for count in (1, 2, 4, 8)]
NAMES = [*BLOCKS, "download", *CHAINS, *BATCHES]

FEW = ["--size", "64x48", "--side", "32", "--pictures", "6", "--runs", "3"]


def test_every_row_is_measured(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", device, *FEW]) == 0
    machine, told, head, *lines, verdict = capsys.readouterr().out.splitlines()
    assert f"torch {torch.__version__}" in machine
    assert told == "64x48, network 32x32, 3 x 6 pictures"
    assert head.split("  ")[-1].strip() == "torch waits"
    assert [line[:26].strip() for line in lines] == NAMES
    for line in lines:
        median, least, most, rate, waits, stalls = line[26:].split()
        assert 0 <= float(least) <= float(median) <= float(most)
        assert float(rate) > 0
        named = line[:26].strip()
        if device == "cpu" or named not in ("upload", "download"):  # they may wait for a buffer
            assert float(waits) == (named in CHAINS[1:]), line
        if device == "cpu":
            assert stalls == "-"
        else:
            assert (float(stalls) > 0) == (named == CHAINS[0]), line
    assert re.fullmatch(
        r"overlapped lanes: \d+\.\d\d of the slowest stage alone"
        r" \((upload|feed, network, mix|download)\), \d+\.\d\d times the plain loop",
        verdict,
    )


def test_the_chains_make_the_same_picture(device: str) -> None:
    """Else they could not be compared."""
    work = gpu.Work(device, (64, 48), 32)
    one, over, loop = (
        chain(work)(5).to_ndarray().astype(int)
        for chain in (gpu.one_lane, gpu.overlapped, gpu.plain)
    )
    assert (one == over).all()
    # The loop's filter for smaller pictures is another one, and swscale converts for it.
    assert abs(one - loop).mean() < 2
    # The fifth picture is not the first.
    assert abs(one - gpu.one_lane(work)(1).to_ndarray()).mean() > 4


def test_overlapping_lanes_hold_as_many_pictures_as_the_inboxes_of_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin, finish, held = tensors.begin_download, tensors.finish_download, [0]

    def begun(*args: Any) -> Any:
        held.append(held[-1] + 1)
        return begin(*args)

    def finished(download: Any) -> Any:
        held.append(held[-1] - 1)
        return finish(download)

    monkeypatch.setattr(tensors, "begin_download", begun)
    monkeypatch.setattr(tensors, "finish_download", finished)
    gpu.overlapped(gpu.Work("cpu", (64, 48), 32))(9)
    assert (max(held), held[-1], len(held)) == (gpu.AHEAD + 1, 0, 19)


def test_without_a_device_it_says_so_and_measures_nothing() -> None:
    """As a program, where CUDA_VISIBLE_DEVICES hides what there may be."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
    )
    assert done.stdout == "nothing was measured: there is no CUDA device for cuda:0\n"


def test_what_was_measured_is_saved_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert gpu.main(["--device", "cpu", "--save", *FEW]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"saved to {tmp_path / 'gpu.json'}"
    body = results.load("gpu")
    assert list(body["found"]) == NAMES
    assert (body["size"], body["side"], body["pictures"], body["runs"]) == ("64x48", 32, 6, 3)
    for row in body["found"].values():
        assert 0 < row["ms"].least <= row["ms"].median <= row["ms"].most
    assert body["found"]["chain, one lane"]["host waits"].median == 1


def test_the_waits_of_a_run_are_told_per_picture() -> None:
    def go(count: int) -> None:
        for _ in range(3 * count):
            lanes.PASSED.wait()
        lanes.PASSED.wait()

    row = gpu.measured("cpu", "three each", go, each=5, runs=2, apart=1)
    assert (row.waits, len(row.seconds)) == (3.0, 2)
    assert gpu.measured("cpu", "a batch", go, each=5, runs=1, apart=1, batch=3).waits == 1.0


def test_the_verdict_is_about_the_slowest_stage() -> None:
    def row(name: str, milliseconds: float) -> Row:
        return Row(name, (milliseconds / 1e3,), 0, None)

    found = [row("upload", 1), row("feed, network, mix", 4), row("download", 2)]
    found += [row("chain, overlapped lanes", 5), row("chain, plain loop", 20)]
    assert gpu.verdict(found) == (
        "overlapped lanes: 0.80 of the slowest stage alone (feed, network, mix),"
        " 4.00 times the plain loop"
    )


def test_a_row_shows_median_and_spread() -> None:
    shown = gpu.table([Row("some", (0.001, 0.004, 0.002), 1, 0.5)]).splitlines()[1]
    assert shown.split() == ["some", "2.000", "1.000", "4.000", "500.0", "1.00", "0.50"]
