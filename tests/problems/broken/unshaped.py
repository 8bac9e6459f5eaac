from pathlib import Path

from composer import Batching, Node


class Guess(Node):
    by_settings = True

    def shaped(self, folder: Path, batch: Batching) -> Node:
        return {}["ports"]

    def process(self, image: object) -> object:
        return image
