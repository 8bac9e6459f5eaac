"""Every input of the corpus is harmless; a short run finds nothing, and would find a mistake."""

import random
from pathlib import Path

import pytest

from tests.fuzz import corpus, targets
from tests.fuzz.__main__ import fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.targets import TARGETS, tried

INPUTS = [
    pytest.param(kind, data, id=f"{kind}-{name}")
    for kind in TARGETS
    for name, data in corpus.inputs(kind)
]


@pytest.mark.fault("F-21", "F-53", "F-59", "F-77")
@pytest.mark.parametrize(("kind", "data"), INPUTS)
def test_an_input_of_the_corpus_does_no_harm(kind: str, data: bytes) -> None:
    tried(kind, data)


@pytest.mark.parametrize("kind", TARGETS)
def test_some_mutations_do_no_harm(kind: str) -> None:
    seeds = [data for _, data in corpus.inputs(kind)]
    chance = random.Random(17)
    for _ in range(60):
        tried(kind, mutated(chance, kind, seeds))


def test_a_seed_gives_the_same_mutations() -> None:
    seeds = [b"abcdef" * 100, b"12345" * 50]

    def some(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [mutated(chance, "messages", seeds) for _ in range(20)]

    assert some(1) == some(1) != some(2)


def test_what_fails_is_kept_once_for_each_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(data: bytes) -> None:
        raise KeyError("planted")

    monkeypatch.setitem(targets.TARGETS, "messages", breaks)
    tries = fuzz(["messages"], 0.2, 1, tmp_path)
    assert (tries["failed"], tries["messages"] > 1) == (1, True)
    assert len(list((tmp_path / "messages").iterdir())) == 1
    assert "messages: KeyError at " in capsys.readouterr().err


def test_the_corpus_is_small() -> None:
    sizes = [len(data) for kind in TARGETS for _, data in corpus.inputs(kind)]
    assert sum(sizes) < 512 * 1024
