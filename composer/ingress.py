"""Ingress: what comes into a session, on its way from the network's loop to a decoder's thread."""


class Ingress:
    """The input of one session."""

    has_audio: bool | None = None
    """Whether sound comes; None while nobody knows."""
