"""A YAML graph of media and model nodes, compiled and run as live video.

The names below are what an author of nodes needs; everything else is the engine.
"""

from composer.node.colors import Paint, rgba
from composer.node.formats import (
    RGB,
    YUV,
    YUVA,
    Array,
    Audio,
    Chosen,
    Layouts,
    Mask,
    Own,
    OwnYUV,
    OwnYUVA,
    Picture,
    Sound,
    Tensor,
)
from composer.node.frames import Frame, Moment
from composer.node.node import (
    BadSetting,
    Batching,
    Context,
    Fixed,
    Live,
    Node,
    ReadFile,
    WeightsFile,
)
from composer.node.positions import Position, PositionX, PositionY, place
from composer.node.roles import Role
from composer.node.values import Detection, Detections, Record

__version__ = "0.1.0"

__all__ = [
    "RGB",
    "YUV",
    "YUVA",
    "Array",
    "Audio",
    "BadSetting",
    "Batching",
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
    "OwnYUVA",
    "Paint",
    "Picture",
    "Position",
    "PositionX",
    "PositionY",
    "ReadFile",
    "Record",
    "Role",
    "Sound",
    "Tensor",
    "WeightsFile",
    "place",
    "rgba",
]
