"""What a damaged end takes with it."""

from pathlib import Path

import av
import numpy as np
import pytest

from composer.media.reader import Reader
from composer.testing import picture
from tests.media.films import (
    write_film,
)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", ["a.flv", "a.mp4"])
def test_a_bad_last_picture_takes_no_other_with_it(tmp_path: Path, name: str, threads: int) -> None:
    options = {"movflags": "+faststart"} if name == "a.mp4" else {}
    noise = np.random.default_rng(1).integers(0, 256, (8, 48, 64, 3), np.uint8)
    film = [picture(rgb) for rgb in noise]
    path = write_film(tmp_path / name, film, container_options=options, options={"bf": "0"})
    with av.open(str(path)) as file:
        last = max(packet.pos or 0 for packet in file.demux(video=0) if packet.size)
    content = bytearray(path.read_bytes())
    content[last + 20 : last + 40] = b"\xff" * 20  # the length of its slice is anything
    path.write_bytes(content)

    reader = Reader(str(path), layout="yuv420p", threads=threads)
    images = list(reader.read())

    assert len(images) in (7, 8)
    assert len(images) + sum(reader.lost.values()) == 8
