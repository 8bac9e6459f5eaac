"""Digest: twelve characters by which values of JSON are told apart."""

import hashlib
from typing import Any

from composer import strictjson


def of(value: Any) -> str:
    """Equal values have the same, in whatever order their keys are."""
    text = strictjson.text(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
