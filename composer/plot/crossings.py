"""The order inside the layers: few crossings, and groups side by side."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from statistics import fmean

from composer.plot.mesh import Mesh

Layers = list[list[int]]


def ordered(mesh: Mesh) -> Layers:
    """Layers with few crossings: sweeps of barycentres, then swaps of neighbours."""
    layers = first_order(mesh)
    best, fewest = layers, crossings(mesh, layers)
    for sweep in range(12):
        if not fewest:
            break
        layers = swapped(mesh, swept(mesh, layers, downwards=sweep % 2 == 0))
        count = crossings(mesh, layers)
        if count < fewest:
            best, fewest = layers, count
    return best


def first_order(mesh: Mesh) -> Layers:
    """Depth first from the sources, which alone draws every tree without a crossing."""
    layers: Layers = [[] for _ in range(max(mesh.rank, default=-1) + 1)]
    seen: set[int] = set()
    sources = [spot for spot in range(len(mesh.rank)) if spot not in mesh.above]
    todo = sources[::-1]
    while todo:
        spot = todo.pop()
        if spot not in seen:
            seen.add(spot)
            layers[mesh.rank[spot]].append(spot)
            todo += [other for other, _ in reversed(mesh.below.get(spot, []))]
    return [
        together(mesh, layer, dict(zip(layer, range(len(layer)), strict=True))) for layer in layers
    ]


def swept(mesh: Mesh, layers: Layers, *, downwards: bool) -> Layers:
    side = mesh.above if downwards else mesh.below
    place: dict[int, float] = {}
    result = []
    for layer in layers if downwards else layers[::-1]:
        wish = {
            spot: fmean(place[other] for other, _ in side[spot]) if spot in side else float(index)
            for index, spot in enumerate(layer)
        }
        result.append(together(mesh, layer, wish))
        place.update((spot, float(index)) for index, spot in enumerate(result[-1]))
    return result if downwards else result[::-1]


def together(mesh: Mesh, layer: list[int], wish: dict[int, float] | dict[int, int]) -> list[int]:
    """Sorted by wish, with the members of a group side by side so that a fence can hold them."""
    wishes: dict[str, list[float]] = defaultdict(list)
    for spot in layer:
        wishes[mesh.group(spot)].append(wish[spot])

    def key(spot: int) -> tuple[float, str, float]:
        group = mesh.group(spot)
        return (fmean(wishes[group]) if group else wish[spot], group, wish[spot])

    return sorted(layer, key=key)


def swapped(mesh: Mesh, layers: Layers) -> Layers:
    """Neighbours change places while that removes a crossing."""
    result = [list(layer) for layer in layers]
    for _ in range(4):
        better = False
        place = {spot: index for layer in result for index, spot in enumerate(layer)}
        for layer in result:
            members = Counter(mesh.group(spot) for spot in layer)
            for i in range(len(layer) - 1):
                a, b = layer[i], layer[i + 1]
                groups = {mesh.group(a), mesh.group(b)}
                may = len(groups) == 1 or all(not g or members[g] == 1 for g in groups)
                if may and crossed(mesh, place, b, a) < crossed(mesh, place, a, b):
                    layer[i], layer[i + 1] = b, a
                    place[a], place[b] = i + 1, i
                    better = True
        if not better:
            break
    return result


def crossed(mesh: Mesh, place: dict[int, int], first: int, second: int) -> int:
    """Crossings among the arrows of two neighbours, when `first` stands before `second`."""
    return sum(
        place[a] > place[b]
        for side in (mesh.above, mesh.below)
        for a, _ in side.get(first, [])
        for b, _ in side.get(second, [])
    )


def crossings(mesh: Mesh, layers: Layers) -> int:
    place = {spot: index for layer in layers for index, spot in enumerate(layer)}
    total = 0
    for layer in layers:
        ends: list[int] = []
        for spot in layer:
            mine = sorted(place[other] for other, _ in mesh.below.get(spot, []))
            total += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return total
