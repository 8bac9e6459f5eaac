"""Egress: what goes out of a session, on its way from an encoder's thread to the network's loop."""


class Egress:
    """The output of one session."""
