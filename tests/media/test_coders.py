"""Encoders of pictures, and what they are asked for."""

from pathlib import Path

import pytest

from composer.errors import MediaError
from composer.media.coders import PictureSettings
from composer.media.sound_encoder import SoundSettings
from composer.media.writer import Writer
from tests.media.films import (
    number,
    numbered,
)
from tests.media.written import moment, timed, write


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_presets_have_one_set_of_names(tmp_path: Path, codec: str, preset: str) -> None:
    images = timed(numbered(5), range(0, 5 * 3600, 3600))

    film = write(tmp_path / "a.mp4", images, pictures=PictureSettings(codec, preset))

    assert [number(image) for image in film.images] == list(range(5))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            PictureSettings(options={"nonsense": "1"}), "h264 has no option 'nonsense'", id="option"
        ),
        pytest.param(
            PictureSettings(tune="nonsense"),
            "h264 cannot be encoded with these settings",
            id="tune",
        ),
    ],
)
def test_settings_that_the_codec_refuses_are_told(
    tmp_path: Path, settings: PictureSettings, said: str
) -> None:
    writer = Writer(str(tmp_path / "a.mp4"), settings, SoundSettings(), audio=False)
    first, second = timed(numbered(2), [0, 3600])
    writer.picture(first, moment(first))  # the second picture tells the rate
    with pytest.raises(MediaError, match=said):
        writer.picture(second, moment(second))
    writer.close()
