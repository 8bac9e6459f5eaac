"""How bright a picture is."""

from composer import YUV, Node, Record
from composer.pictures import pixels


class Brightness(Node):
    """Mean and spread of the luma, in parts of white.

    image: planar YUV of any size. Gives {"mean": 0..1, "spread": 0..0.5}.
    """

    stateless = True

    def process(self, image: YUV) -> Record:
        luma = pixels.planes(image)[0]
        return {
            "mean": round((float(luma.mean()) - 16) / 219, 4),
            "spread": round(float(luma.std()) / 219, 4),
        }
