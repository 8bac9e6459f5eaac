"""Tables of programmes and tracks, and their check sum."""

from composer.media.mpegts.psi import crc
from tests.media.transport import stream, units_of


def test_opus_says_its_channels() -> None:
    tracks = {unit.track for unit in units_of(stream(audio="libopus", preset="ultrafast"))}
    sound = next(track for track in tracks if track.kind == "audio")
    assert (sound.codec, sound.channels, sound.extradata[:8]) == ("opus", 2, b"OpusHead")


def test_the_check_sum_of_a_section_is_0_over_itself() -> None:
    section = b"\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00"
    whole = section + crc(section).to_bytes(4, "big")
    assert crc(whole) == 0
    assert crc(whole[:-1] + bytes([whole[-1] ^ 1])) != 0
