"""Room: how many bytes may wait at once, whoever brings them."""


class Room:
    """Bytes that are given out, and come back. most: of all of them together."""

    def __init__(self, most: int) -> None:
        self.most, self.used = most, 0

    def take(self, count: int) -> bool:
        """Whether there was room for them; then they are taken."""
        if self.used + count > self.most:
            return False
        self.used += count
        return True

    def give_back(self, count: int) -> None:
        self.used -= count
