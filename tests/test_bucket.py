"""So much per second, with a reserve."""

import pytest

from composer.bucket import Bucket


def test_it_gives_its_reserve_and_then_what_time_brings() -> None:
    bucket = Bucket(rate=2.0, most=4.0)
    assert bucket.take(4.0, now=0.0) == 0.0
    assert bucket.take(1.0, now=0.0) == pytest.approx(0.5)
    assert bucket.take(0.0, now=0.5) == 0.0
    assert bucket.take(2.0, now=1.5) == 0.0


def test_no_more_than_its_reserve_is_saved() -> None:
    bucket = Bucket(rate=2.0, most=4.0)
    assert bucket.take(0.0, now=1000.0) == 0.0
    assert bucket.take(5.0, now=1000.0) == pytest.approx(0.5)
