import collections_of_mine

from composer import RGB, Node


class Sepia(Node):
    def process(self, image: RGB) -> RGB:
        return collections_of_mine.sepia(image)
