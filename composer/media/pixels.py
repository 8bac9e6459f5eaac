"""The old place of composer.pictures.pixels, which nodes outside this repository import."""

from composer.pictures.pixels import *  # noqa: F403
