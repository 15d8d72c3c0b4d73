"""Entries of world files that are edits.

A new kind is a function here, in ``KINDS``, that makes it of its entry.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import fusion
from infinitygan_jax.sampling.edits.edit import Edit
from infinitygan_jax.sampling.edits.pin import Pin
from infinitygan_jax.sampling.edits.placement import Placement
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.styles import Axis
from infinitygan_jax.worldfile import checked
from infinitygan_jax.worldfile.references import References, decoded

_MAX_MASK = 2**26  # pixels of a masked region, its feather included
_INSIDE = 128  # of 255: a mask's pixels from here on belong to the region


def edit_of(entry: Any, where: str, references: References) -> Edit:
    """The edit of an entry.

    Args:
      entry: what the file says.
      where: its name, for messages.
      references: what it may name.

    Raises:
      ValueError: it says something else than an edit does.
    """
    kind = checked.kind(entry, where, "edit", tuple(KINDS))
    return KINDS[kind](entry, where, references)


def _resample(entry: checked.Entry, where: str, references: References) -> Resample:
    names = ("edit", "seed", "what", "statistics_of", "rectangle", "mask")
    checked.known_keys(entry, where, *names)
    what = entry.get("what", ["structure", "texture"])
    if not isinstance(what, list) or not all(
        each in ("structure", "texture") for each in what
    ):
        raise UserError(
            f"{where}.what ({checked.shown(what)}) must be a list of "
            '"structure" and "texture"; write one of them or both'
        )
    edit = Resample(
        _region(entry, where, references),
        checked.whole(entry, "seed", where),
        structure="structure" in what,
        texture="texture" in what,
    )
    if edit.structure:
        remedy = 'take a larger one, or write "what": ["texture"]'
        _check_cell(edit, where, references, remedy)
    if "statistics_of" in entry:
        if not edit.structure:
            raise UserError(
                f"{where}.statistics_of is of local latents, and texture alone is "
                'resampled; add "structure" to what, or leave it out'
            )
        checked.rectangle(entry, where, "statistics_of")
    return edit


def _style(entry: checked.Entry, where: str, references: References) -> Pin:
    names = ("edit", "style", "feather", "rectangle", "mask")
    checked.known_keys(entry, where, *names)
    source = references.source(entry.get("style"), f"{where}.style")
    feather = checked.whole(entry, "feather", where, fusion.FEATHER)
    edit = Pin(_region(entry, where, references, feather), source, feather)
    _check_cell(edit, where, references, "take a larger one")
    return edit


def _place(entry: checked.Entry, where: str, references: References) -> Placement:
    checked.known_keys(entry, where, "edit", "inversion", "at", "feather", "exact")
    inversion = references.inversion(entry.get("inversion"), f"{where}.inversion")
    exact = checked.truth(entry, "exact", where, True)
    top, left = inversion.top, inversion.left
    if "at" in entry:
        top, left = checked.place(entry, "at", where)
    feather = checked.whole(entry, "feather", where, fusion.FEATHER)
    model = references.bundle.config.model
    return placement_of(inversion, model, top, left, feather, exact)


# Of an entry's "edit".
KINDS: dict[str, Callable[[checked.Entry, str, References], Edit]] = {
    "resample": _resample,
    "style": _style,
    "place": _place,
}


def _check_cell(edit: Edit, where: str, references: References, remedy: str) -> None:
    """Refuses a region that lies between all cells, or might, and changes none."""
    region, cell = edit.region, references.bundle.config.model.cell_size
    if min(region.height, region.width) < cell:
        raise UserError(
            f"{where}.rectangle ({region.width}x{region.height}, width by height) "
            f"must be at least {cell}x{cell} pixels, a cell of the model: styles "
            f"and structure are no finer; {remedy}"
        )
    # A rectangle of a cell always meets one, and so does a feather of a cell.
    if region.mask is None or edit.reach >= cell:
        return
    rows, cols = (
        Axis(start // cell * cell - cell, size // cell + 4, cell)
        for start, size in (
            (region.top, region.height),
            (region.left, region.width),
        )
    )
    if not edit.meets(rows, cols):
        raise UserError(
            f"{where}.mask must meet a cell of the model, {cell}x{cell} pixels: "
            f"styles and structure are no finer; {remedy}"
        )


def _region(
    entry: checked.Entry, where: str, references: References, feather: int = 0
) -> Region:
    top, left, height, width = checked.rectangle(entry, where)
    mask = None
    if "mask" in entry:
        # Before it is laid out.
        pixels = (height + 2 * feather) * (width + 2 * feather)
        if pixels > _MAX_MASK:
            raise UserError(
                f"{where}: a rectangle with a mask must be of at most {_MAX_MASK} "
                f"pixels, its feather included, and it has {pixels}; divide it "
                "into several edits"
            )
        image = references.opened(entry["mask"], f"{where}.mask", decoded)
        mask = _mask(image, height, width)
        if not mask.any():
            raise UserError(
                f"{where}.mask ({checked.shown(entry['mask'])}) must select "
                f"something, and has no pixel of {_INSIDE} or lighter; give "
                "another, or leave it out for all of the rectangle"
            )
    return Region(top, left, height, width, mask)


def _mask(
    image: UInt8[np.ndarray, "h w 3"], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """White pixels of an image, laid over a rectangle."""
    grey = Image.fromarray(image).convert("L")
    if grey.size != (width, height):
        grey = grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grey) >= _INSIDE
