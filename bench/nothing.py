"""Nodes that do nothing, for measuring what a node costs that does."""

from composer import YUV, Node, Picture


class Nothing(Node):
    """Gives the picture on."""

    def process(self, image: YUV) -> YUV:
        """image: any. Returns the same one."""
        return image


class Sink(Node):
    """Takes the picture."""

    def process(self, image: Picture) -> None:
        """image: any."""
