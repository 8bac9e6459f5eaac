from composer import RGB, Live, Node


class Slow(Node):
    rate: float = Live(1.0)

    def process(self, image: RGB) -> RGB:
        return image
