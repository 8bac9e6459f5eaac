from __future__ import annotations

from composer import Node


class Sepia(Node):
    def process(self, image: RGB) -> RGB:
        return image
