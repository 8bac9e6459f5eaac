"""The encoders of pictures: what each takes, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from composer.errors import MediaError
from composer.media import nvenc
from composer.node.formats import ALPHA_YUV, CODED_LAYOUTS, YUV_LAYOUTS

SPEEDS: Final = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
"""Names of presets, as libx264 and libx265 know them."""

_VP9_SPEEDS: Final = (8, 7, 6, 5, 4, 3, 2, 1, 0)

_AV1_SPEEDS: Final = (12, 11, 10, 9, 8, 7, 6, 5, 4)


@dataclass(frozen=True, slots=True)
class Coder:
    """How pictures are coded. name: libavcodec's. layouts: what it takes, the usual one first.
    takes: of the layouts between nodes those that it holds, the preferred one first.

    speeds: its own numbers for SPEEDS, empty where it takes the names. even: its pictures have
    even sides in 4:2:0.
    """

    name: str
    layouts: tuple[str, ...] = YUV_LAYOUTS
    takes: tuple[str, ...] = CODED_LAYOUTS
    preset: str = ""
    crf: int | None = None
    speeds: tuple[int | str, ...] = ()
    even: bool = False
    intra: bool = False
    full_range: bool = False


CODERS: Final[dict[str, Coder]] = {
    "h264": Coder("libx264", preset="superfast", crf=23, even=True),
    "hevc": Coder("libx265", preset="superfast", crf=28, even=True),
    "vp9": Coder(
        "libvpx-vp9",
        (*YUV_LAYOUTS, "yuva420p"),
        ("yuv420p", ALPHA_YUV, "rgb24", "gray"),
        preset="veryfast",
        crf=33,
        speeds=_VP9_SPEEDS,
    ),
    "av1": Coder("libsvtav1", ("yuv420p",), preset="veryfast", crf=35, speeds=_AV1_SPEEDS),
    "mjpeg": Coder(
        "mjpeg",
        takes=("yuv444p", "yuv422p", "yuv420p", "rgb24", "gray"),
        crf=3,
        intra=True,
        full_range=True,
    ),
    "png": Coder("png", ("rgb24", "rgba", "gray"), ("rgb24", "rgba", "gray"), intra=True),
    "prores": Coder(
        "prores_ks",
        ("yuv422p10le", "yuv444p10le", "yuva444p10le"),
        ("yuv422p", "yuv444p", ALPHA_YUV),
        intra=True,
    ),
    "qtrle": Coder("qtrle", ("rgb24", "argb"), ("rgb24", "rgba"), intra=True),
}
"""By the name that `codec` takes."""

ON_CARD: Final[dict[str, Coder]] = {
    codec: Coder(
        f"{codec}_nvenc",
        ("yuv420p", "yuv444p"),
        preset="superfast",
        crf=crf,
        speeds=nvenc.PRESETS,
        even=True,
    )
    for codec, crf in (("h264", 23), ("hevc", 28))
}
"""The same where a card of NVIDIA codes them."""

BETWEEN: Final = {
    "yuva420p": ALPHA_YUV,
    "yuv422p10le": "yuv422p",
    "yuv444p10le": "yuv444p",
    "yuva444p10le": ALPHA_YUV,
    "argb": "rgba",
}
"""The layout between nodes that is nearest to one that only encoders take."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How pictures are to be coded. codec: a key of CODERS, or "auto" for what the file's ending
    says. bitrate: bits per second, 0 for constant quality (crf). keyframe_s: seconds. card: the
    CUDA device whose NVENC codes them, "" for the CPU. alpha: whether the file can hold it.
    """

    codec: str = "auto"
    preset: str = ""
    crf: int | None = None
    bitrate: int = 0
    keyframe_s: float = 2.0
    tune: str = ""
    threads: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    card: str = ""
    alpha: bool = True

    @property
    def coder(self) -> Coder:
        return ON_CARD[self.codec] if self.on_card else CODERS[self.codec]

    @property
    def on_card(self) -> bool:
        """Whether a card codes them: a file's ending may ask for a codec that none knows."""
        return bool(self.card) and self.codec in ON_CARD


def coder_options(settings: PictureSettings, *, live: bool = False) -> dict[str, str]:
    """libavcodec's options for these settings. Raises MediaError for what the codec cannot do."""
    coder, codec = settings.coder, settings.codec
    options: dict[str, str] = {}
    preset = settings.preset or coder.preset
    if coder.speeds and preset in SPEEDS:
        preset = str(coder.speeds[SPEEDS.index(preset)])
    if settings.on_card:
        crf = coder.crf or 0 if settings.crf is None else settings.crf
        of_card = nvenc.options(crf, settings.bitrate, preset, settings.card, live=live)
        return of_card | {name: str(value) for name, value in settings.options.items()}
    if not coder.preset:
        if settings.preset:
            raise MediaError(f"{codec} has no presets; leave `preset` away")
    else:
        options["cpu-used" if codec == "vp9" else "preset"] = preset
    if coder.crf is not None and codec != "mjpeg" and not settings.bitrate:
        options["crf"] = str(coder.crf if settings.crf is None else settings.crf)
    if live and settings.bitrate:
        options |= {"maxrate": str(settings.bitrate), "bufsize": str(settings.bitrate)}
    if settings.tune and codec not in ("h264", "hevc"):
        raise MediaError(f"`tune` is for h264 and hevc, not for {codec}")
    if codec in ("h264", "hevc"):
        tune = ",".join(filter(None, (settings.tune, "zerolatency" if live else "")))
        options |= {"tune": tune} if tune else {}
    if codec == "hevc":
        options |= {"forced-idr": "1", "x265-params": "log-level=error"}
    if codec == "vp9":
        fast = live or preset in ("6", "7", "8")  # beyond 5 "good" gets no faster
        options |= {"row-mt": "1", "deadline": "realtime" if fast else "good"}
        options |= {"lag-in-frames": "0"} if live else {}
    if codec == "png":
        options |= {"compression_level": "1", "pred": "up"}  # a sixth of the time, 4 % larger
    if codec == "av1" and live:
        options["svtav1-params"] = "pred-struct=1"
    return options | {name: str(value) for name, value in settings.options.items()}
