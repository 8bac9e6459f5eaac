"""The command as a person calls it: exit codes, what goes where, Ctrl-C."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import PIL.Image
import pytest

from tests import networks
from tests.clips import BIKES, BUNNY, ROOT, fetched
from tests.media.films import Sound, beep, numbered, write_film

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


def test_a_checked_file_loads_nothing_that_only_a_run_needs(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['byoc', 'check', sys.argv[1]]\n"
        "from composer.command.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy._core', 'av._core', 'rich', 'asyncio', 'PIL._imaging', 'http.client'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    file = pipeline(tmp_path)
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_a_plan_is_for_the_files_that_are_named(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    PIL.Image.new("RGBA", (16, 16)).save(source)
    file = pipeline(tmp_path)
    kept = byoc("plan", file, "--input", source, "--output", tmp_path / "o.png").stdout
    lost = byoc("plan", file, "--input", source, "--output", tmp_path / "o.mp4").stdout
    assert "source (decode): rgba" in kept
    assert "alpha is lost here" not in kept
    assert "source (decode): yuv420p, coded packet\n      alpha is lost here" in lost
    assert "alpha" not in byoc("plan", file).stdout


def test_run_accounts_for_every_frame(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    file = pipeline(tmp_path)
    done = byoc("run", file, "--input", fetched(BIKES), "--output", out, "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert (account["frames_in"], account["frames_out"], account["dropped"]) == (250, 250, {})
    assert frames(out) == 250


def test_a_track_that_comes_to_nothing_is_told_and_ends_with_3(tmp_path: Path) -> None:
    path = write_film(tmp_path / "in.mkv", numbered(5), sound=Sound(beep(0.1, 1), "mp2"))
    path.write_bytes(path.read_bytes().replace(b"A_MPEG/L2", b"A_XYZW/L2"))
    file, out = pipeline(tmp_path), tmp_path / "out.mp4"

    done = byoc("run", file, "--input", path, "--output", out, "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["lost_tracks"] == ["source: sound (unknown codec)"]
    assert frames(out) == 5
    done = byoc("run", file, "--input", path, "--output", out)
    assert done.returncode == 3
    assert "nothing came through of source: sound (unknown codec)" in done.stderr


def test_what_was_lost_of_a_file_is_counted(tmp_path: Path) -> None:
    options = {"movflags": "+faststart"}
    path = write_film(
        tmp_path / "in.mp4", numbered(60), container_options=options, options={"bf": "0"}
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])

    done = byoc(
        "run", pipeline(tmp_path), "--input", path, "--output", tmp_path / "a.mp4", "--json"
    )

    account = json.loads(done.stdout)
    assert done.returncode == 0
    assert account["frames_in"] == account["frames_out"] < 60
    assert account["frames_in"] + sum(account["dropped"].values()) == 60
    assert account["nodes"]["source"]["dropped"] == account["dropped"]


def test_pictures_for_which_there_is_no_room_do_not_count_as_out(tmp_path: Path) -> None:
    path = write_film(tmp_path / "in.mp4", numbered(5))

    file = pipeline(tmp_path, PLAIN.replace(", preset: ultrafast", ""))
    done = byoc("run", file, "--input", path, "--output", tmp_path / "one.png", "--json")

    account = json.loads(done.stdout)
    assert (account["frames_in"], account["frames_out"]) == (5, 1)
    assert account["dropped"] == {"full": 4}


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


# weights


def test_a_pipeline_without_weights_has_nothing_to_fetch(tmp_path: Path) -> None:
    done = byoc("fetch", pipeline(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "no weights to fetch\n", "")


def with_model(folder: Path, address: str) -> Path:
    node = f"  m: {{type: onnx, post: image, model: '{address}'}}\n"
    return pipeline(folder, PLAIN.replace("  out:", f"{node}  out:"))


def test_weights_that_are_here_are_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    model = networks.identity()
    digest = hashlib.sha256(model).hexdigest()
    place = tmp_path / "cache" / "weights" / digest[:2] / digest
    place.parent.mkdir(parents=True)
    place.write_bytes(model)
    # There is no such package: whoever asked for it would fail.
    address = f"pypi://byoc-has-no-such-package==1.0/models/m.onnx#sha256={digest}"
    file = with_model(tmp_path, address)
    done = byoc("fetch", file, file)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"m.onnx: {place}\n", "")


def test_weights_that_cannot_be_fetched_are_told_and_the_others_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    text = with_model(tmp_path, f"https://127.0.0.1:1/a.onnx#sha256={'a' * 64}").read_text()
    more = text.replace("  m:", "  n:").replace("a.onnx", "b.onnx").replace("a" * 64, "b" * 64)
    other = tmp_path / "other.yaml"
    other.write_text(more)
    done = byoc("fetch", tmp_path / "pipeline.yaml", other)
    assert (done.returncode, done.stdout) == (1, "")
    refused = "ConnectionRefusedError: [Errno 111] Connection refused"
    assert done.stderr.splitlines() == [
        f"byoc: cannot fetch 'https://127.0.0.1:1/a.onnx': {refused}",
        f"byoc: cannot fetch 'https://127.0.0.1:1/b.onnx': {refused}",
    ]


def test_fetch_of_a_broken_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    done = byoc("fetch", pipeline(tmp_path, PLAIN.replace("decode", "decoed")))
    assert done.returncode == 1
    assert "unknown-node: no node type 'decoed'" in done.stderr + done.stdout


@pytest.mark.parametrize("command", ["run", "serve"])
def test_weights_that_were_not_fetched_are_asked_for_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("BYOC_CACHE", str(tmp_path / "cache"))
    file = with_model(tmp_path, f"https://models.test/m.onnx#sha256={'a' * 64}")
    checked = byoc("check", file)
    assert (checked.returncode, checked.stdout) == (0, f"{file}: fine\n")
    ends = ("--input", BIKES, "--output", tmp_path / "out.mp4")
    done = byoc(command, file, *(ends if command == "run" else ("--port", "0")))
    assert (done.returncode, done.stdout) == (3 if command == "serve" else 1, "")
    said = done.stderr.splitlines()
    assert said[0].endswith(
        "pipeline.yaml:4:39: not-fetched: nodes.m.model: m.onnx ('https://models.test/m.onnx')"
        " is not on this machine"
    )
    assert said[-2].endswith(f"^ fetch it first: byoc fetch {file}")
    assert not (tmp_path / "out.mp4").exists()


def test_a_model_that_does_not_load_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    networks.write(tmp_path, "m.onnx", networks.breaking(0))
    text = PLAIN.replace("{type: decode}", "{type: test_source, width: 64, height: 48}")
    node = "  m: {type: onnx, post: image, model: m.onnx, device: cpu}\n"
    file = pipeline(tmp_path, text.replace("  out:", f"{node}  out:"))
    done = byoc("run", file, "--output", tmp_path / "out.mp4")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "byoc: node 'm' failed in setup(): ModelFailed: it does not run on an empty picture:"
    )


def test_a_run_tells_where_its_model_ran(tmp_path: Path) -> None:
    networks.write(tmp_path, "m.onnx", networks.inverted())
    text = PLAIN.replace(
        "{type: decode}", "{type: test_source, width: 64, height: 48, duration: 1}"
    )
    node = "  m: {type: onnx, post: image, model: m.onnx, device: cpu}\n"
    file = pipeline(tmp_path, text.replace("  out:", f"{node}  out:"))
    done = byoc("run", file, "--output", tmp_path / "out.mp4", "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    about = account["nodes"]["m"]["about"]
    assert (about["provider"], about["items"]) == ("CPUExecutionProvider", account["frames_in"])


def test_probe_says_what_an_input_holds(tmp_path: Path) -> None:
    shutil.copy(fetched(BIKES), tmp_path / "clip.mp4")
    done = byoc("probe", "clip.mp4", "--seconds", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("clip.mp4: QuickTime / MOV, 10.00 s, ")
    assert done.stdout.endswith("\nnothing odd\n")
    data = json.loads(byoc("probe", "clip.mp4", "--all", "--json", cwd=tmp_path).stdout)
    assert (data["whole"], data["tracks"][0]["packets"]) == (True, 250)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.mp4"], 1, "byoc: none.mp4: there is no such file\n"),
        (["."], 1, "byoc:  is a folder, not a media file\n"),
        (["clip.mp4", "--all", "--seconds", "1"], 2, "byoc: --all reads everything, and --seconds"),
        (["http://127.0.0.1:1/ch"], 1, "byoc: http://127.0.0.1:1/ch cannot be opened: nothing"),
    ],
)
def test_probe_of_what_cannot_be_read(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = byoc("probe", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)


def test_probe_shows_what_it_found_of_what_cannot_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    done = byoc("probe", "words.srt", cwd=tmp_path)
    assert done.returncode == 1
    assert "track 0: subtitles, subrip" in done.stdout
    assert done.stderr.startswith("byoc: words.srt has no track that can be decoded")
