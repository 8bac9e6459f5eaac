"""The hooks of pre-commit are `make check`: the same commands, with the same versions."""

import subprocess
from typing import Any

import yaml

from tests.clips import ROOT


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    found: list[dict[str, Any]] = config["repos"][0]["hooks"]
    return found


def test_they_are_the_commands_of_make_check() -> None:
    # -o: whether .venv is there, and how old it is, is of no interest here.
    command = ["make", "--dry-run", "--no-print-directory", "-o", ".venv/.dev", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [hook["entry"] for hook in hooks()] == done.stdout.splitlines()


def test_they_look_at_everything_and_install_nothing() -> None:
    for hook in hooks():
        assert hook["language"] == "system", "else pre-commit brings versions of its own"
        assert hook["always_run"]
        assert not hook["pass_filenames"]
