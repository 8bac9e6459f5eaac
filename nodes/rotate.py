"""Turn the picture by quarters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, PrivateAttr

from composer import Context, Layouts, Node, Own, Picture
from composer.node.formats import ALPHA_YUV
from composer.pictures import chain

if TYPE_CHECKING:
    from composer.pictures.chain import Chain, Filter

Square = Annotated[Picture, Layouts("yuv420p", "yuv444p", ALPHA_YUV)]
"""YUV whose chroma is halved in both directions or in none: it can lie on its side."""

OwnSquare = Annotated[Picture, Layouts("yuv420p", "yuv444p", ALPHA_YUV), Own()]

QUARTERS: Final[dict[int, tuple[Filter, ...]]] = {
    90: (("transpose", {"dir": "clock"}),),
    180: (("hflip", {}), ("vflip", {})),
    270: (("transpose", {"dir": "cclock"}),),
}


class Rotate(Node):
    """Turn the picture by 90, 180 or 270 degrees clockwise.

    image: yuv420p or yuv444p of any size (yuv422p is converted: its chroma cannot be turned as it
    is). Gives a new picture of the same layout; at 90 and 270 width and height change places. Every
    sample is kept as it was.
    """

    stateless = True

    angle: Literal[90, 180, 270] = Field(90, description="degrees clockwise")

    _chain: Chain = PrivateAttr()

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return (width, height) if self.angle == 180 else (height, width)

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: Square) -> OwnSquare:
        return self._chain.run(image, *QUARTERS[self.angle])
