"""The command as a person calls it: exit codes, what goes where, Ctrl-C."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.clips import BIKES, BUNNY, ROOT, fetched

PLAIN = "version: 1\nnodes:\n  source: {type: decode}\n  out: {type: encode, preset: ultrafast}\n"


def byoc(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "composer", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def pipeline(folder: Path, text: str = PLAIN) -> Path:
    file = folder / "pipeline.yaml"
    file.write_text(text)
    return file


def frames(path: Path) -> int:
    with av.open(str(path)) as opened:
        return sum(1 for _ in opened.decode(video=0))


def test_check_of_a_good_file_is_fine(tmp_path: Path) -> None:
    done = byoc("check", pipeline(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("pipeline.yaml: fine\n")


def test_check_says_where_the_problem_is(tmp_path: Path) -> None:
    done = byoc("check", pipeline(tmp_path, PLAIN.replace("decode", "decoed")))
    assert done.returncode == 1
    assert "pipeline.yaml:3:18: unknown-node: no node type 'decoed'" in done.stdout


def test_check_of_a_missing_file_could_not_look(tmp_path: Path) -> None:
    done = byoc("check", tmp_path / "no.yaml")
    assert done.returncode == 2
    assert "no.yaml" in done.stderr


def test_check_gives_json(tmp_path: Path) -> None:
    done = byoc("check", pipeline(tmp_path, PLAIN.replace("1", "2", 1)), "--format", "json")
    assert done.returncode == 1
    assert [(each["code"], each["line"]) for each in json.loads(done.stdout)] == [
        ("bad-version", 1)
    ]


def test_a_checked_file_loads_neither_numpy_nor_av(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['byoc', 'check', sys.argv[1]]\n"
        "from composer.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy._core', 'av._core', 'rich', 'asyncio', 'PIL._imaging'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    file = pipeline(tmp_path)
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_run_accounts_for_every_frame(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    file = pipeline(tmp_path)
    done = byoc("run", file, "--input", fetched(BIKES), "--output", out, "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert (account["frames_in"], account["frames_out"], account["dropped"]) == (250, 250, {})
    assert frames(out) == 250


def test_sound_is_copied_bit_by_bit(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    done = byoc("run", pipeline(tmp_path), "--input", fetched(BUNNY), "--output", out)
    assert done.returncode == 0, done.stderr
    assert sound(out) == sound(BUNNY)


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [bytes(packet) for packet in opened.demux(audio=0) if packet.size]


def test_a_param_out_of_range_is_refused_by_name(tmp_path: Path) -> None:
    text = PLAIN.replace("  out:", "  soft: {type: blur}\n  out:")
    file = pipeline(tmp_path, text.replace("nodes:", "params: {soft: soft.radius}\nnodes:"))
    out = tmp_path / "out.mp4"
    done = byoc("run", file, "--input", BIKES, "--output", out, "--set", "soft=9000")
    assert done.returncode == 1
    assert "bad-value: soft should be less than or equal to" in done.stderr
    done = byoc("run", file, "--input", BIKES, "--output", out, "--set", "sofd=1")
    assert "there is no param 'sofd' - did you mean 'soft'?" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.ts"])
def test_ctrl_c_leaves_a_playable_file(tmp_path: Path, name: str, number: int) -> None:
    out = tmp_path / name
    command = [sys.executable, "-m", "composer", "run", str(pipeline(tmp_path, ENDLESS))]
    with subprocess.Popen(
        [*command, "--output", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline()  # a record: frames are on their way
        started.send_signal(number)
        _, said = started.communicate(timeout=30)
    assert started.returncode == 0, said
    assert frames(out) > 0


ENDLESS = """\
version: 1
nodes:
  s: {type: test_source, width: 160, height: 96, duration: 0}
  spots: {type: regions, boxes: [[0, 0, 1, 1]]}
  told: {type: record, path: "-"}
  out: {type: encode, in: s}
"""


def test_version_is_in_one_place() -> None:
    from composer import __version__

    assert "dynamic" in (ROOT / "pyproject.toml").read_text()
    assert __version__.count(".") == 2


TWO_OUTPUTS = """\
version: 1
nodes:
  source: {type: test_source, width: 64, height: 48, duration: 0.2}
  out: {type: encode}
  small: {type: resize, in: source, width: 32, height: 24}
  second: {type: encode, in: small, path: second.mp4}
"""


def test_an_output_goes_to_the_encoder_that_names_no_file(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO_OUTPUTS)
    done = byoc("run", "two.yaml", "--output", "first.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, width in (("first.mp4", 64), ("second.mp4", 32)):
        with av.open(str(tmp_path / name)) as film:
            assert film.streams.video[0].width == width
    (tmp_path / "both.yaml").write_text(TWO_OUTPUTS.replace(", path: second.mp4", ""))
    done = byoc("run", "both.yaml", "--output", "first.mp4", cwd=tmp_path)
    assert done.returncode == 2
    assert "say which node writes it, as out=FILE (out, second)" in done.stderr
