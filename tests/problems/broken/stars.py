from composer import RGB, Node


class Mix(Node):
    def process(self, *images: RGB) -> RGB:
        return images[0]
