"""Look for inputs that do harm, for so many seconds: `make fuzz TIME=600`.

    python -m tests.fuzz --seconds 60 --seed 7 --kind streams

What fails is written into tests/corpus and told; the exit code is 1 then.
"""

import argparse
import itertools
import logging
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.mutator import mutated
from tests.fuzz.targets import TARGETS, tried

MOST_FAILURES = 10
"""Different ones, after which it ends."""

TURN_SECONDS = 0.5
"""Each kind has as much time as the others: some are slower to try."""


def fuzz(kinds: list[str], seconds: float, seed: int, folder: Path = corpus.CORPUS) -> Counter[str]:
    """Try mutations in turns. Returns how many of each kind were tried; the key "failed" has how
    many ways to fail there were, each told once.
    """
    chance = random.Random(seed)
    seeds = {kind: [data for _, data in corpus.inputs(kind)] for kind in kinds}
    seen: set[str] = set()
    tries: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    turn, turn_ends = itertools.cycle(kinds), 0.0
    kind = next(turn)
    while (now := time.monotonic()) < ends and len(seen) < MOST_FAILURES:
        if now > turn_ends:
            kind, turn_ends = next(turn), now + TURN_SECONDS
        data = mutated(chance, kind, seeds[kind])
        tries[kind] += 1
        try:
            tried(kind, data)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is what is looked for
            frame = traceback.extract_tb(exc.__traceback__)[-1]
            how = f"{kind}: {type(exc).__name__} at {frame.filename}:{frame.lineno}"
            if how not in seen:
                seen.add(how)
                tries["failed"] += 1
                path = corpus.keep(kind, data, folder)
                print(f"{how}: {exc}\n  kept as {path}", file=sys.stderr)  # noqa: T201
    return tries


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kind", action="append", choices=TARGETS)
    options = parser.parse_args()
    logging.disable()  # what is told of broken input is not what is looked for
    tries = fuzz(options.kind or list(TARGETS), options.seconds, options.seed)
    counts = ", ".join(f"{count} {kind}" for kind, count in tries.items() if kind != "failed")
    print(f"seed {options.seed}: {counts}; {tries['failed']} ways to fail")  # noqa: T201
    return 1 if tries["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
