"""A tree in leaf and the same tree bare, drawn with Pillow from a seed.

Branches grow by space colonisation (Runions, Lane, Prusinkiewicz: Modeling Trees with a
Space Colonization Algorithm, 2007). Points scattered through the crown attract the
nearest twig, and vanish when a twig comes near. Branches thus fill the crown without
crossing. At a fork width^n of the parent is the sum over its children (Murray,
Leonardo). Clumps of leaves are added near twigs until they hide about half of the
branches.
"""

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

_FINE = 4  # images are drawn 4 times larger, then reduced
_STEP = 0.022  # length of a growing twig's step; the unit is the image's side
_MAX_NODES = 600  # of a tree
_TWIG = 0.0165  # smallest width: wider than a pixel, so that it stays connected
_LEAF = ((-1, 0), (-0.3, 0.45), (0.3, 0.4), (1, 0), (0.3, -0.4), (-0.3, -0.45))


class _Tree(NamedTuple):
    """A graph of N nodes; all but the first have a parent.

    places: float [N, 2], x to the right and y down, in units of the image's side.
    parents: int [N], each below its node's own index.
    widths: float [N], of the segment from a node's parent to the node.
    """

    places: np.ndarray
    parents: np.ndarray
    widths: np.ndarray


def draw(split: str, index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a tree in leaf, uint8 [size, size, 3], and bare, uint8 [size, size, 1].

    A pure function of its arguments; the tree is the same at every size.
    """
    # Python seeds its generator with the SHA-512 of a string: the same everywhere.
    rng = random.Random(f"branches {split} {index}")
    tree = _grown(rng)
    side = size * _FINE
    bare = _bare(tree, side)
    picture = _sky(rng, side)
    picture.paste(_bark(rng, tree, side), mask=bare)
    _put_leaves(rng, picture, tree, np.asarray(bare) > 0)
    y = 255 - np.asarray(bare.reduce(_FINE))
    return np.asarray(picture.reduce(_FINE)), y[..., None]


def _grown(rng: random.Random) -> _Tree:
    """Grow a trunk, and branches towards every point of the crown."""
    points = np.array(_crown(rng))
    places, parents = np.empty((_MAX_NODES, 2)), np.zeros(_MAX_NODES, int)
    count = _trunk(rng, places, parents, points[:, 1].max())
    reach = rng.uniform(1.4, 2.0) * _STEP
    far = rng.uniform(0.15, 0.3)
    distance, nearest = np.full(len(points), np.inf), np.zeros(len(points), int)
    seen = 0
    while seen < count and len(points):
        away = np.hypot(*(points.T[:, :, None] - places[seen:count].T[:, None]))
        nearest = np.where(away.min(1) < distance, seen + away.argmin(1), nearest)
        distance = np.minimum(away.min(1), distance)
        left = distance > reach
        points, distance, nearest = points[left], distance[left], nearest[left]
        seen = count
        near = distance <= max(far, distance.min(initial=1))
        nodes, ends = _twigs(rng, places, nearest[near], points[near])
        gap = np.abs(ends[:, None] - places[:count]).sum(2).min(1, initial=1)
        free = np.flatnonzero(gap > 0.6 * _STEP)[: _MAX_NODES - count]
        count += len(free)
        places[seen:count], parents[seen:count] = ends[free], nodes[free]
    return _thickened(rng, *_without_stubs(places[:count], parents[:count]))


def _twigs(
    rng: random.Random, places: np.ndarray, nearest: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes that points attract, int [M], and their new ends, [M, 2]."""
    nodes, which = np.unique(nearest, return_inverse=True)
    pull = points - places[nearest]
    pull /= np.hypot(*pull.T)[:, None]
    total = np.zeros((len(nodes), 2))
    np.add.at(total, which, pull)
    total /= np.hypot(*total.T)[:, None] + 1e-9
    noise = [(rng.gauss(0, 0.18), rng.gauss(0, 0.18) - 0.08) for _ in nodes]
    return nodes, places[nodes] + _STEP * (total + np.reshape(noise, (-1, 2)))


def _trunk(
    rng: random.Random, places: np.ndarray, parents: np.ndarray, bottom: float
) -> int:
    """Write the trunk's nodes, up to the crown's bottom; return their number."""
    places[0] = 0.5 + rng.gauss(0, 0.02), 1.01
    lean, top = rng.gauss(0, 0.12), bottom - rng.uniform(0.02, 0.16)
    count = 1
    while places[count - 1, 1] > top:
        lean = 0.9 * lean + rng.gauss(0, 0.06)
        step = _STEP * np.array([math.sin(lean), -math.cos(lean)])
        places[count], parents[count] = places[count - 1] + step, count - 1
        count += 1
    return count


def _without_stubs(
    places: np.ndarray, parents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Remove twigs of a single step; return places and parents."""
    children = np.bincount(parents[1:], minlength=len(parents))
    stub = (children == 0) & (children[parents] > 1)
    number = np.cumsum(~stub) - 1
    return places[~stub], number[parents[~stub]]


def _crown(rng: random.Random) -> list[tuple[float, float]]:
    """Scatter the points that attract twigs over an ellipse."""
    wide, high = rng.uniform(0.32, 0.44), rng.uniform(0.25, 0.36)
    x, y = 0.5 + rng.gauss(0, 0.02), 0.06 + high + rng.uniform(0, 0.06)
    points = []
    for _ in range(rng.randint(120, 190)):
        radius, angle = math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        points.append(
            (x + wide * radius * math.sin(angle), y + high * radius * math.cos(angle))
        )
    return points


def _thickened(rng: random.Random, places: np.ndarray, parents: np.ndarray) -> _Tree:
    """Compute the widths, from the tips down to the trunk."""
    power = rng.uniform(2.2, 2.7)
    flow = np.zeros(len(places))
    for node in range(len(places) - 1, -1, -1):
        flow[node] = max(flow[node], _TWIG**power)
        if node:
            flow[parents[node]] += flow[node]
    return _Tree(places, parents, flow ** (1 / power))


def _segments(tree: _Tree) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Return start, end and width of every segment."""
    starts = tree.places[tree.parents]
    return zip(starts[1:], tree.places[1:], tree.widths[1:], strict=True)


def _bare(tree: _Tree, side: int) -> Image.Image:
    """Draw the branches as a PIL mask of mode L, 255 on a branch."""
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    for start, end, width in _segments(tree):
        _stroke(pen, start, end, width, side, 255)
    return mask


def _stroke(pen, start, end, width, side, colour):
    """Draw a line with a round end; positions and width are in units of the side."""
    (x0, y0), (x1, y1) = ((side * x, side * y) for x, y in (start, end))
    pen.line((x0, y0, x1, y1), colour, max(1, round(side * width)))
    radius = side * width / 2
    pen.ellipse((x1 - radius, y1 - radius, x1 + radius, y1 + radius), colour)


def _sky(rng: random.Random, side: int) -> Image.Image:
    """Draw a pale sky, lighter towards the ground."""
    high = np.array(
        [rng.randint(176, 206), rng.randint(204, 220), rng.randint(228, 245)]
    )
    low = np.array(
        [rng.randint(232, 248), rng.randint(234, 243), rng.randint(236, 246)]
    )
    fraction = np.linspace(0, 1, side)[:, None]
    rows = np.rint(high + (low - high) * fraction).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(rows[:, None].repeat(side, 1)))


def _bark(rng: random.Random, tree: _Tree, side: int) -> Image.Image:
    """Draw the bark: brown, lit from the left."""
    light = rng.uniform(0.8, 1.15)
    brown = [round(light * c) for c in (92, 64, 42)]
    lit = tuple(round(1.35 * c) for c in brown)
    picture = Image.new("RGB", (side, side), tuple(brown))
    pen = ImageDraw.Draw(picture)
    for start, end, width in _segments(tree):
        shift = np.array([-0.22 * width, 0])
        _stroke(pen, start + shift, end + shift, 0.4 * width, side, lit)
    return picture


def _put_leaves(
    rng: random.Random, picture: Image.Image, tree: _Tree, bare: np.ndarray
) -> None:
    """Draw clumps of leaves near the twigs until they hide about half of the tree.

    bare: bool [side, side], True on a branch.
    """
    side = picture.width
    branches = np.flatnonzero(bare)
    twigs = tree.places[tree.widths < 2 * _TWIG].tolist()
    wanted, shade = rng.uniform(0.38, 0.54), rng.uniform(0.85, 1.15)
    layer = Image.new("L", picture.size, 0)  # brightness of a leaf, 0 for none
    pen = ImageDraw.Draw(layer)
    while np.mean(np.asarray(layer).ravel()[branches] > 0) < wanted:
        radius = rng.uniform(0.035, 0.065)
        for number, outline in enumerate(_clump(rng, rng.choice(twigs), radius)):
            light = shade * (0.75 + number / 40) * rng.uniform(0.85, 1.15)
            pen.polygon((side * outline).ravel().tolist(), min(215, round(140 * light)))
    parts = rng.uniform(0.35, 0.75), 1, 0.32  # red, green and blue, by brightness
    tables = [[round(part * light) for light in range(256)] for part in parts]
    leaves = Image.merge("RGB", [layer.point(table) for table in tables])
    picture.paste(leaves, mask=layer.point([0] + [255] * 255))


def _clump(rng: random.Random, centre: list[float], radius: float) -> np.ndarray:
    """Return the outlines of 18 leaves around a place: [18, corners, 2]."""
    leaves = []
    for _ in range(18):
        x, y = (rng.gauss(middle, radius) for middle in centre)
        turn, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.018, 0.028)
        leaves.append((x, y, length * math.cos(turn), length * math.sin(turn)))
    x, y, c, s = np.array(leaves).T[..., None]
    along, across = np.array(_LEAF).T
    return np.stack([x + c * along - s * across, y + s * along + c * across], -1)
