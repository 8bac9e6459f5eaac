"""A picture that a file stores in tiles (HEIC, AVIF): found, decoded and joined."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import av

from composer import lazy
from composer.errors import MediaError
from composer.media.selection import Selection
from composer.pictures import pixels

with lazy.deferred():  # only such pictures need NumPy
    from composer.media import heif

_STILL_BRANDS: Final = ("mif1", "mif2", "heic", "avif")
"""Of files that hold pictures as items (ISO/IEC 23008-12)."""


class Tiles:
    """How the tiles of one picture join. source: path or address. name: what errors call it."""

    def __init__(self, grid: "heif.Grid", name: str) -> None:
        self._grid, self._name = grid, name

    @property
    def display_matrix(self) -> tuple[int, ...] | None:
        """How the joined picture is to be turned."""
        return self._grid.display_matrix

    def joined(
        self, packets: Iterable[Any], decode: Callable[[Any], list[Any]], layout: str
    ) -> av.VideoFrame:
        """The picture out of the packets of all tracks. Raises MediaError where a tile is bad."""
        grid, tiles = self._grid, {}
        for packet in packets:
            if packet.stream.id in grid.tiles:
                for image in decode(packet):
                    tiles[packet.stream.id] = pixels.convert(image, layout)
        if missing := set(grid.tiles) - tiles.keys():
            raise MediaError(f"{self._name}: {len(missing)} of its {len(grid.tiles)} tiles are bad")
        try:
            return heif.join(grid, [tiles[tile] for tile in grid.tiles])
        except MediaError as exc:
            raise MediaError(f"{self._name}: {exc}") from exc


def tiles_of(selection: Selection, source: str, name: str) -> Tiles | None:
    """The tiles of what a file shows, None where it is not stored so. source: path or address.

    Raises MediaError for what cannot be joined.
    """
    about = selection.container.metadata
    brands = about.get("major_brand", "") + about.get("compatible_brands", "")
    if selection.image is None or not any(brand in brands for brand in _STILL_BRANDS):
        return None
    if "://" in source:
        if av.stream.Disposition.dependent & selection.image.disposition:
            raise MediaError(f"{name} is a picture in tiles: save it as a file first")
        return None
    try:
        grid = heif.grid(Path(source))
    except MediaError as exc:
        raise MediaError(f"{name}: {exc}") from exc
    if grid is None:
        return None
    selection.check_size(grid.width, grid.height)
    return Tiles(grid, name)
