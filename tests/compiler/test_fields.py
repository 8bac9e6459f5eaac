"""The fields of a node as they were written."""

from tests.compiler.graphs import messages


def test_what_is_no_finite_number_is_told_wherever_it_is_written() -> None:
    """As text, too, which a number may be written as."""
    text = (
        "params: {free: {type: float, default: inf}, level: {to: a.level, max: '1e400'}}\n"
        "nodes: {s: {type: count, level: nan}, a: {type: pass, rate: inf, when: free < 1},"
        " o: {type: collect}}"
    )
    assert messages(text) == [
        "params.level.max should be a finite number, got '1e400'",
        "nodes.a.rate should be a finite number, got 'inf'",
        "nodes.s.level should be a finite number, got 'nan'",
        "params.free.default should be a finite number, got 'inf'",
    ]
