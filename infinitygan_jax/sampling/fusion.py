"""Spatial style fusion: which style shows where, from what a person would say.

An *entry* is what a world file says under ``styles`` (docs/world_file.md).
"""

import pathlib
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Integer
from PIL import Image

from infinitygan_jax.data import decoding
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import SIDE_LIMIT, Window
from infinitygan_jax.sampling.styles import Biomes, Painted, Site, Source

FEATHER = 64  # pixels over which an edit's style fades, where nobody says
MAP_BLEND = 64  # likewise of a painted map
_MOST_SHARES = 2**26  # numbers of a painted map: its pixels times styles
_STYLE = re.compile(
    # The last @ is the place's: names of files may hold others.
    r"\s*(?P<style>.*?[^\s@])\s*(@\s*(?P<y>[-+.\deE]+)\s*,\s*(?P<x>[-+.\deE]+)\s*)?",
    re.DOTALL,
)


def style_of(text: str) -> int | dict[str, str]:
    """A style as a world file has it: a seed, or an inversion's.

    Raises:
      ValueError: neither a whole number nor the name of a ``.npz`` file.
    """
    if re.fullmatch(r"\d{1,20}", text) and int(text) < 2**64:
        return int(text)
    if text.endswith(".npz"):
        return {"inversion": text}
    raise UserError(
        f"style ({text}) must be a seed, 0 to 2**64 - 1, or the .npz file of an "
        "inversion; write e.g. 7"
    )


def styles_entry(
    texts: Sequence[str],
    window: Window,
    *,
    every: int | None = None,
    map_name: str | None = None,
    blend: int | None = None,
    cyclic: bool = False,
) -> dict[str, Any]:
    """A world file's entry ``styles``, of words as people type them.

    Args:
      texts: ``SEED@Y,X``, a style and its place in the window, of 0 to 1; or ``SEED``,
        where a map or a gap gives the places, or each style the middle of an equal part
        of the columns.
      window: that is painted.
      every: pixels from style to style along the columns.
      map_name: file of a map of them.
      blend: pixels over which one changes into another.
      cyclic: the first follows the last.

    Raises:
      ValueError: not of this form.
    """
    if every is not None and map_name is not None:
        raise UserError("`every` and `map_name` exclude each other; give one of them")
    styles, places, names = [], [], []
    for text in texts:
        match = _STYLE.fullmatch(text)
        if not match or ("@" in match["style"] and match["style"][-4:] != ".npz"):
            raise UserError(
                f"`texts` ({text}) must be SEED@Y,X; write e.g. 11@0.5,0.25"
            )
        names.append(match["style"])
        styles.append(style_of(match["style"]))
        places.append(None if match["y"] is None else (match["y"], match["x"]))
    placed = [index for index, place in enumerate(places) if place]
    common = {} if blend is None else {"blend": blend}
    if every is not None or map_name is not None:
        if placed:
            option = "`every`" if map_name is None else "`map_name`"
            raise UserError(
                f"`texts` ({texts[placed[0]]}) must be a style without a place where "
                f"{option} says where it is; write {names[placed[0]]}"
            )
        if map_name is not None:
            rectangle = [window.top, window.left, window.height, window.width]
            file = {"file": map_name, "styles": styles, "rectangle": rectangle}
            return {"kind": "map", **file, **common}
        chain = {"styles": styles, "every": every, "cyclic": cyclic}
        return {"kind": "chain", **chain, **common}
    if len(texts) == 1 and not placed:
        return {"kind": "one", "style": styles[0]}
    if placed and len(placed) < len(texts):
        text = texts[places.index(None)]
        raise UserError(
            f"`texts` ({text}) must say where it is, as {texts[placed[0]]} does; "
            f"write {text}@0.5,0.5, or leave out all places for styles side by side"
        )
    sites = []
    for index, (text, style, place) in enumerate(
        zip(texts, styles, places, strict=True)
    ):
        if place is None:
            # Whole numbers, of any size: (index + 1/2) / len(texts) of the width.
            right = (2 * index + 1) * window.width // (2 * len(texts))
            at = [window.top + window.height // 2, window.left + right]
        else:
            y, x = (_share(text, part) for part in place)
            at = [
                window.top + round(y * window.height),
                window.left + round(x * window.width),
            ]
        sites.append({"style": style, "at": at})
    return {"kind": "sites", "sites": sites, **common}


def _share(text: str, part: str) -> float:
    try:
        share = float(part)
    except ValueError:
        share = np.nan
    if 0 <= share <= 1:
        return share
    raise UserError(
        f"`texts` ({text}) must have a place of 0 to 1 of the height and the width; "
        "the middle is @0.5,0.5"
    )


def default_blend(sites: Sequence[Site]) -> int:
    """Pixels between the two nearest sites: styles change all the way between them."""
    ends = np.array(sites, float)  # top, bottom, left, right
    least = np.inf
    for index, one in enumerate(ends):
        down, right = (
            np.maximum(one[axis] - ends[:index, axis + 1], 0)
            + np.maximum(ends[:index, axis] - one[axis + 1], 0)
            for axis in (0, 2)
        )
        gaps = np.hypot(down, right)
        least = gaps.min(initial=least, where=gaps > 0)
    return int(np.clip(np.rint(least), 1, SIDE_LIMIT)) if np.isfinite(least) else 1


def check_chain(
    number: int, every: int, cyclic: bool, period: int | None, blend: int
) -> None:
    """Checks that a chain of styles fits into a world that repeats, and its blend.

    Raises:
      ValueError: it does not; the message names the nearest gap or width.
    """
    if blend > every:
        raise UserError(
            f"blend ({blend}) must be at most the styles' distance ({every}); use "
            f"{every}"
        )
    if period is None:
        return
    if not cyclic:
        raise UserError(
            "a chain of styles must be cyclic where the world repeats along its "
            "columns; say cyclic, or do not wrap"
        )
    if period % (number * every):
        rounds = max(1, round(period / (number * every)))
        nearest = number * every * rounds
        raise UserError(
            f"the width ({period}) must be a multiple of all styles' gaps, {number} x "
            f"{every}, to wrap around; the nearest is {nearest}"
        )


def biomes(
    seed: int, every: int, blend: int, period: tuple[int | None, int | None]
) -> Biomes:
    """Styles on an unbounded lattice; in a world that repeats, on one that fits.

    Raises:
      ValueError: the blend is wider than the lattice.
    """
    if blend > every:
        raise UserError(
            f"blend ({blend}) must be at most the biomes' distance ({every}); use "
            f"{every}"
        )
    rows, cols = (
        Fraction(every) if each is None else Fraction(each, max(1, round(each / every)))
        for each in period
    )
    return Biomes(seed, (rows, cols), float(blend))


def read_map(path: pathlib.Path) -> Integer[np.ndarray, "h w"]:
    """Levels of a painted map: a palette's indices, or grey.

    Raises:
      ValueError: it cannot be used.
      OSError: it cannot be read.
    """
    try:
        grey = decoding.decode(str(path))  # checks it, whatever it is
    except decoding.ImageError as error:
        raise UserError(f"map ({path.name}) {error}; give another") from error
    with Image.open(path) as image:
        if image.mode == "P":
            return np.asarray(image)
    return np.asarray(Image.fromarray(grey).convert("L"))


def painted(
    levels: Integer[np.ndarray, "h w"],
    sources: Sequence[Source],
    rectangle: tuple[int, int, int, int],
    blend: int,
    period: tuple[int | None, int | None],
) -> Painted:
    """Styles on a painted map: each of its levels, from the lowest, is one.

    Args:
      levels: of the map.
      sources: the styles.
      rectangle: of the world that it lies over: top, left, height, width.
      blend: pixels of the world over which one changes into another.
      period: of the world; the map's own where it repeats.

    Raises:
      ValueError: the levels are not as many as the styles, the map is too large, or a
        period is not its side.
    """
    top, left, height, width = rectangle
    Window(top, left, height, width)  # its limits
    found = np.unique(levels)
    if len(found) != len(sources):
        raise UserError(
            f"a map of styles must have a level for each, and it has {len(found)} "
            f"levels for {len(sources)} styles; give as many, and paint the map "
            "without smooth edges"
        )
    if levels.size * len(found) > _MOST_SHARES:
        most = _MOST_SHARES // len(found)
        raise UserError(
            f"a map of {len(found)} styles must be of at most {most} pixels, and it "
            f"has {levels.size}; reduce it, it is enlarged smoothly"
        )
    for name, side, each in zip(
        ("height", "width"), (height, width), period, strict=True
    ):
        if each is not None and each != side:
            raise UserError(
                f"a map's {name} ({side}) must be that after which the world repeats "
                f"({each}); lay it over all of it"
            )
    shares = np.stack([levels == level for level in found], axis=-1).astype(np.float32)
    modes = ["nearest" if each is None else "wrap" for each in period]
    sizes = [
        blend * n / side / 2
        for n, side in zip(levels.shape, (height, width), strict=True)
    ]
    return Painted(_blurred(shares, sizes, modes), tuple(sources), *rectangle)


def _blurred(
    shares: np.ndarray, sizes: Sequence[float], modes: Sequence[str]
) -> np.ndarray:
    """Means over a window, twice on each axis: weights fall to 0 at its ends."""
    from scipy import ndimage  # comes with JAX, and takes a while to import

    for axis, (size, mode) in enumerate(zip(sizes, modes, strict=True)):
        taps = min(round(size), shares.shape[axis])
        # An even window lies to one side: once to either, so that nothing moves.
        for origin in (0, taps % 2 - 1) if taps > 1 else ():
            shares = ndimage.uniform_filter1d(
                shares, taps, axis=axis, mode=mode, origin=origin
            )
    return shares / shares.sum(axis=-1, keepdims=True)
