"""A YAML graph of media and model nodes, compiled and run as live video.

The names below are what an author of nodes needs; everything else is the engine.
"""

from composer.anchor import Position, PositionX, PositionY, place
from composer.formats import (
    RGB,
    YUV,
    Audio,
    Chosen,
    Layouts,
    Mask,
    Own,
    OwnYUV,
    Picture,
    Sound,
)
from composer.frames import Frame, Moment
from composer.node import Context, Fixed, Live, Node, ReadFile
from composer.paint import Paint, rgba
from composer.values import Detection, Detections, Record

__version__ = "0.1.0"

__all__ = [
    "RGB",
    "YUV",
    "Audio",
    "Chosen",
    "Context",
    "Detection",
    "Detections",
    "Fixed",
    "Frame",
    "Layouts",
    "Live",
    "Mask",
    "Moment",
    "Node",
    "Own",
    "OwnYUV",
    "Paint",
    "Picture",
    "Position",
    "PositionX",
    "PositionY",
    "ReadFile",
    "Record",
    "Sound",
    "place",
    "rgba",
]
