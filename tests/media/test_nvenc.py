"""What is asked of NVIDIA's encoder, and that nothing is asked where there is none."""

import logging
from pathlib import Path

import pytest

from composer import Context
from composer.media import nvenc
from composer.media.coders import SPEEDS, PictureSettings, coder_options
from composer.media.live_encoder import live_settings
from nodes.encode import Encode


def test_a_machine_without_a_card_says_why() -> None:
    if not nvenc.missing("h264", "cuda:0"):
        pytest.skip("this machine has NVENC")
    assert nvenc.missing("h264", "cuda:0").startswith("h264_nvenc: ")
    assert nvenc.missing("vp9", "cuda:0") == "NVENC knows no vp9"


def test_every_speed_has_a_preset_of_the_card() -> None:
    assert len(nvenc.PRESETS) == len(SPEEDS)


def test_quality_and_speed_are_translated() -> None:
    found = coder_options(PictureSettings("h264", "medium", crf=20, card="cuda:1"))
    assert found["preset"] == "p5"
    assert (found["cq"], found["gpu"], found["rc"]) == ("20", "1", "vbr")
    assert "crf" not in found


def test_a_stream_has_no_delay_and_a_bound() -> None:
    settings = live_settings(PictureSettings("h264", card="cuda:0"), 1280, 720)
    found = coder_options(settings, live=True)
    assert found["tune"] == "ull"
    assert (found["delay"], found["zerolatency"], found["bf"]) == ("0", "1", "0")
    assert int(found["maxrate"]) == int(found["bufsize"]) > 1_000_000
    assert "sc_threshold" not in found


def test_a_codec_that_no_card_knows_stays_on_the_cpu() -> None:
    settings = PictureSettings("vp9", card="cuda:0")
    assert settings.coder.name == "libvpx-vp9"
    assert "gpu" not in coder_options(settings)


@pytest.mark.fault("F-40")
def test_without_an_encoder_the_cpu_encodes_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvenc, "missing", lambda codec, device: "no such card")
    node = Encode()
    with caplog.at_level(logging.WARNING):
        sink = str(tmp_path / "a.mkv")
        node.setup(Context("out", tmp_path, {}, {}, device="cuda:0", sink=sink))
    assert node._pictures().card == ""
    assert "h264 is encoded on the CPU: no such card" in caplog.text
