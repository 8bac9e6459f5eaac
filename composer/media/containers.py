"""Files and addresses, opened for reading and writing: the one place that opens any, since what
blocks there needs a time that FFmpeg keeps to.
"""

from collections.abc import Mapping
from typing import Any, Final

import av

from composer.errors import MediaError
from composer.media import rows

MAX_PIXELS: Final = 8192 * 8192
"""Largest picture that is decoded: 67 million pixels, 100 MB in yuv420p."""

SILENCE_SECONDS: Final = 30.0
"""How long what is opened or read may say nothing before FFmpeg is interrupted: less than a start
has. A disk that hangs is out of its reach.
"""

_ANY_TAGS: Final[dict[str, Any]] = (
    {"metadata_errors": "replace"} if av.__version__.startswith("18.") else {}
)
"""Tags may be written in any alphabet, which PyAV refuses up to its version 19."""


def open_input(source: Any, *, timeout: float = SILENCE_SECONDS, **how: Any) -> Any:
    """An av.InputContainer. source: path, address or file object. how: further words of av.open().

    Raises what av.open() does; av.ExitError for a silence, here and where it is read.
    """
    return av.open(source, timeout=timeout, **_ANY_TAGS, **how)


def open_output(target: Any, form: str, options: Mapping[str, str]) -> Any:
    """An av.OutputContainer. target: path or file object. options: of the container.

    Raises what av.open() does.
    """
    return av.open(target, "w", form, container_options=dict(options), timeout=SILENCE_SECONDS)


def opened(
    source: str,
    name: str,
    limits: dict[str, str],
    *,
    row: rows.Row | None = None,
    timeout: float = SILENCE_SECONDS,
) -> Any:
    """The container at a path or URL, or the first picture of a row. Raises MediaError.

    name: what errors call it. timeout: seconds that it may say nothing.
    """
    options, form = limits, None
    if row is not None:
        source, form = str(row.path(row.first)), "image2"
        options = limits | {"pattern_type": "none"}
    try:
        container = open_input(source, format=form, options=options, timeout=timeout)
        container.flags &= ~av.container.Flags.gen_pts.value  # PyAV asks for made up ones
        return container
    except FileNotFoundError:
        raise MediaError(f"{name}: there is no such file") from None
    except PermissionError as exc:
        raise MediaError(f"{name} may not be read") from exc
    except IsADirectoryError:
        raise MediaError(f"{name} is a folder, not a media file") from None
    except av.ExitError:
        raise silent(name) from None
    except (av.FFmpegError, OSError) as exc:
        if "://" in source:
            raise MediaError(f"{name} cannot be opened: nothing there can be read") from exc
        raise MediaError(
            f"{name} is not a media file that can be read, or it is damaged,"
            " or its pictures are too large"
        ) from exc


def silent(name: str) -> MediaError:
    """What is said of an input that has said nothing for as long as it may."""
    return MediaError(f"{name} says nothing, and is not waited for any longer")
