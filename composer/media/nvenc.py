"""NVENC: the encoder of NVIDIA's cards, asked of the card itself. H100 and H200 have none."""

from functools import cache
from typing import Any, Final

import av

PRESETS: Final = ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7")
"""Its own for each of coders.SPEEDS, quickest first (libavcodec/nvenc_h264.c)."""

NAMES: Final = {"h264": "h264_nvenc", "hevc": "hevc_nvenc"}
"""libavcodec's encoder for a codec."""

TRIED_SIZE: Final = (256, 144)
"""Above the least that every card takes."""


@cache
def missing(codec: str, device: str) -> str:
    """Why a codec cannot be encoded by the card, "" where it can. An encoder is opened to see."""
    if codec not in NAMES:
        return f"NVENC knows no {codec}"
    try:
        context: Any = av.CodecContext.create(NAMES[codec], "w")
        context.width, context.height = TRIED_SIZE
        context.pix_fmt, context.framerate = "yuv420p", 25
        context.options = {"gpu": index(device)}
        context.open()
    except (av.FFmpegError, ValueError) as exc:
        return f"{NAMES[codec]}: {getattr(exc, 'strerror', None) or exc}"
    return ""


def index(device: str) -> str:
    return device.partition(":")[2] or "0"


def options(crf: int, bitrate: int, preset: str, device: str, *, live: bool) -> dict[str, str]:
    """libavcodec's options: a bit rate, or constant quality as near to libx264's as it has."""
    chosen = {"preset": preset, "gpu": index(device), "rc": "vbr", "forced-idr": "1", "bf": "0"}
    chosen |= {} if bitrate else {"cq": str(crf)}
    if live:
        chosen |= {"tune": "ull", "delay": "0", "zerolatency": "1", "no-scenecut": "1"}
        chosen |= {"maxrate": str(bitrate), "bufsize": str(bitrate)} if bitrate else {}
    return chosen
