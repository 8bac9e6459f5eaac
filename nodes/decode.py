"""Read pictures and sound from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import av

from composer import Chosen, Context, Node, ReadFile, Sound
from composer.errors import MediaError
from composer.media import reader
from pydantic import Field
