"""Files and addresses, opened for reading."""

from typing import Any, Final

import av

_ANY_TAGS: Final[dict[str, Any]] = (
    {"metadata_errors": "replace"} if av.__version__.startswith("18.") else {}
)
"""Tags may be written in any alphabet, which PyAV refuses up to its version 19."""


def open_input(source: Any, **how: Any) -> Any:
    """An av.InputContainer. source: path, address or file object. how: further words of av.open().

    Raises what av.open() does.
    """
    return av.open(source, **_ANY_TAGS, **how)
