"""Callbacks that keep nobody."""

import gc

from composer.weakly import weakly


class Adds:
    def __init__(self) -> None:
        self.back = weakly(self.add, 0)

    def add(self, one: int, *, other: int) -> int:
        return one + other


def test_a_method_works_while_its_object_is_there_and_does_not_keep_it() -> None:
    gc.disable()
    try:
        adds = Adds()
        back = adds.back
        assert back(1, other=2) == 3
        del adds
        assert back(1, other=2) == 0
    finally:
        gc.enable()
