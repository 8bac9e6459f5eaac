"""What somebody may have meant."""

import pytest

from composer.pipeline.hints import did_you_mean


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("raduis", "did you mean 'radius'?", id="letters swapped"),
        pytest.param("RADIUS", "did you mean 'radius'?", id="capitals"),
        pytest.param("Typo", "did you mean 'Type'?", id="spelled as it is known"),
        pytest.param("strength", "", id="nothing is close"),
        pytest.param("radius" * 1000, "", id="too long to look for"),
    ],
)
def test_one_close_word_is_suggested(word: str, hint: str) -> None:
    assert did_you_mean(word, ["radios", "radius", "Type"]) == hint
