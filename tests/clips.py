"""The real clips, fetched by scripts/fetch_clips.py before the tests run."""

from pathlib import Path
from typing import Any, Final

import av

ROOT: Final = Path(__file__).parent.parent
BUNNY: Final = ROOT / ".clips" / "bigbuckbunny.mp4"
"""1280x720, 25 fps, 132 frames, H.264 without B-frames, AAC."""

BIKES: Final = ROOT / ".clips" / "bikes.mp4"
"""640x272, 25 fps, 250 frames, H.264 with B-frames, no sound."""


def fetched(clip: Path) -> Path:
    """The clip; fails with the command that fetches it."""
    assert clip.is_file(), "run `make test`, or python scripts/fetch_clips.py"
    return clip


def beginning(clip: Path, path: Path, seconds: float) -> Path:
    """The first seconds of a clip, not coded anew."""
    source: Any  # PyAV leaves packets without types
    with av.open(str(fetched(clip))) as source, av.open(str(path), "w") as target:
        tracks = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = tracks[packet.stream]
                target.mux(packet)
    return path
