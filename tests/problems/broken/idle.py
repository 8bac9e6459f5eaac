from composer import Node


class Idle(Node):
    """Has no process."""
