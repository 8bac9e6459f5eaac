from composer import RGB, Node


class Sepia(Node):
    def process(self, image: RGB) -> RGB
        return image
