"""The stack of a thread says for which session it works, to whoever can read nothing else."""

import traceback

from composer import stacks


def test_work_is_done_in_a_frame_that_is_called_after_its_session() -> None:
    def work(one: int, *, two: int) -> tuple[int, str]:
        return one + two, "".join(traceback.format_stack())

    total, stack = stacks.working_for("cam/1 \u00e9", work)(1, two=2)
    assert total == 3
    assert stacks.found_in(stack) == stacks.name_of("cam/1 \u00e9")
    assert stacks.found_in("".join(traceback.format_stack())) == ""


def test_two_sessions_have_two_names_that_are_words() -> None:
    names = {stacks.name_of(session) for session in ("a", "b", "", "\n")}
    assert len(names) == 4
    assert all(name.isidentifier() for name in names)
