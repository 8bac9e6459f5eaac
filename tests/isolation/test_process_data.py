"""Data that a process has sent."""

from collections import Counter

from composer.isolation.process_data import ProcessData


def test_data_is_gathered_anew_and_more_is_asked_for_while_it_fits_a_segment() -> None:
    happened: list[str] = []
    end = ProcessData(lambda: happened.append("wake"), lambda: happened.append("room"))
    assert end.take() == b""
    end.came("[1]\n")
    end.came('["é", {"a": 2}]\n[3]\n')
    assert happened == ["wake", "room", "room"]
    assert end.take() == '[1,"é", {"a": 2},3]\n'.encode()
    large = f'["{"x" * 50_000}"]\n'
    end.came(large * 6)
    assert happened == ["wake", "room", "room", "wake"]
    assert end.take() == (large * 4).encode()
    assert happened == ["wake", "room", "room", "wake", "room"]
    assert end.take() == (large * 2).encode()
    assert happened == ["wake", "room", "room", "wake", "room"]
    end.told(Counter(too_long=2))
    assert end.dropped == Counter(too_long=2)
