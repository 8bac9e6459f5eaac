"""`byoc new`: what it writes, and that following its README leads to a running capability."""

import subprocess
from pathlib import Path

import av
import pytest

from composer.command import scaffold
from tests import commands

ELSEWHERE = {
    "pip install ": "from the network; here it is installed",
    "docker ": "there may be no Docker",
    "byoc image pipeline.yaml": "builds for a minute; test_images.py does",
}
"""Commands of the README that cannot run here."""

NAMES = [
    "README.md",
    "pipeline.yaml",
    "nodes.py",
    "test_nodes.py",
    "clip.yaml",
]


def in_folder(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder, as its owner would."""
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=folder,
        env=commands.environment(),
    )


def pictures(path: Path) -> int:
    with av.open(str(path)) as opened:
        return sum(1 for _ in opened.decode(video=0))


def test_the_files_that_are_made(tmp_path: Path) -> None:
    made = scaffold.create(tmp_path / "sepia-tone")
    assert [path.name for path in made] == NAMES
    assert "capability: sepia-tone\n" in made[1].read_text(encoding="utf-8")
    for path in made:
        text = path.read_text(encoding="utf-8")
        assert "{{" not in text, path
        assert "{capability}" not in text, path


@pytest.mark.slow
@pytest.mark.timeout(180)  # twenty commands, and others may work beside them
def test_every_command_of_its_readme_runs(tmp_path: Path) -> None:
    folder = tmp_path / "sepia"
    scaffold.create(folder)
    lines = commands.commands((folder / "README.md").read_text(encoding="utf-8"))
    ran = commands.follow(lines, folder, ELSEWHERE)
    verbs = {" ".join(line.split()[:2]) for line in ran}
    for verb in ("check", "plan", "run", "dev", "serve", "trickle", "image"):
        assert f"byoc {verb}" in verbs
    assert "pytest" in ran
    assert len(ran) == len(lines) - 3
    assert pictures(folder / "out.mp4") == pictures(folder / "clip.mp4") == 90
    assert 10 < pictures(folder / "out.ts") <= 60


def test_its_readme_names_every_file(tmp_path: Path) -> None:
    made = scaffold.create(tmp_path / "demo")
    text = made[0].read_text(encoding="utf-8")
    assert [name for name in NAMES[1:] if f"| `{name}` |" not in text] == []


def test_its_own_tests_look_at_the_node(tmp_path: Path) -> None:
    scaffold.create(tmp_path / "demo")
    nodes = tmp_path / "demo" / "nodes.py"
    nodes.write_text(nodes.read_text().replace("* np.float32(self.strength)", ""))
    done = in_folder(tmp_path / "demo", "pytest -q -p no:cacheprovider")
    assert done.returncode == 1
    assert "2 failed, 1 passed" in done.stdout


def test_its_image_is_named_as_docker_wants_it(tmp_path: Path) -> None:
    made = scaffold.create(tmp_path / "Sepia.._Tone-")
    assert "byoc image pipeline.yaml --tag sepia-tone\n" in made[0].read_text(encoding="utf-8")


def test_an_empty_folder_may_be_there_already(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    assert scaffold.create(tmp_path / "demo")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    scaffold.create(tmp_path / "demo")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for name in ("demo", "file"):
        with pytest.raises(FileExistsError, match="is there already"):
            scaffold.create(tmp_path / name)


@pytest.mark.parametrize("name", ["my demo", "-demo", "x" * 101, "über"])
def test_the_folder_names_the_capability(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a capability"):
        scaffold.create(tmp_path / name)
    assert not (tmp_path / name).exists()
