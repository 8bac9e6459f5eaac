"""Give the same regions for each picture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PrivateAttr

from composer import Detection, Detections, Live, Node, Picture

Part = Annotated[float, Field(ge=0, le=1)]
Region = tuple[Part, Part, Part, Part]
Label = Annotated[str, Field(max_length=100)]


class Regions(Node):
    """Give the same regions for each picture, as if a model had found them.

    For overlay_boxes, blur_regions and pixelate_regions without a model: a logo, a screen, a door
    number that does not move.

    image: any picture; only its time is used. Gives detections: one per box, in their order. What
    reaches beyond the picture's border is cut off by the nodes that take them.
    """

    stateless = True

    boxes: list[Region] = Live(
        [],
        max_length=256,
        description="[x, y, width, height] each, from the left and the top, in parts of the picture"
        " (0..1)",
    )
    labels: list[Label] = Live(
        [], max_length=256, description="one for each box, in the same order; none where it ends"
    )
    score: float = Live(1, ge=0, le=1, description="of every region")

    _given: tuple[object, Detections] = PrivateAttr(default=(None, Detections()))

    def process(self, image: Picture) -> Detections:
        settings = (tuple(self.boxes), tuple(self.labels), self.score)
        known, given = self._given
        if known != settings:
            labels = [*self.labels, *[""] * len(self.boxes)]
            items = (
                Detection(*box, label=label, score=self.score)
                for box, label in zip(self.boxes, labels, strict=False)
            )
            given = Detections(tuple(items))
            self._given = (settings, given)
        return given
