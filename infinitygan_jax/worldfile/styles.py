"""Entries of world files that say which styles show where.

A new kind is a function here, in ``KINDS``, that makes it of its entry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import fusion
from infinitygan_jax.sampling.styles import (
    Biomes,
    Chain,
    Constant,
    Painted,
    Site,
    Sites,
    StyleField,
)
from infinitygan_jax.worldfile import checked
from infinitygan_jax.worldfile.references import MAX_STYLES, References


class Ground(NamedTuple):
    """The world that styles are laid over.

    Attributes:
      seed: its own.
      period: pixels after which it repeats: of rows and of columns, or None.
    """

    seed: int
    period: tuple[int | None, int | None]


def style_field(
    entry: Any, where: str, references: References, ground: Ground
) -> StyleField:
    """The styles of an entry.

    Args:
      entry: what the file says.
      where: its name, for messages.
      references: what it may name.
      ground: the world that they are laid over.

    Raises:
      ValueError: it says something else than styles do.
    """
    kind = checked.kind(entry, where, "kind", tuple(KINDS))
    return KINDS[kind](entry, where, references, ground)


def _one(
    entry: checked.Entry, where: str, references: References, ground: Ground
) -> Constant:
    checked.known_keys(entry, where, "kind", "style")
    return Constant(references.source(entry.get("style"), f"{where}.style"))


def _sites(
    entry: checked.Entry, where: str, references: References, ground: Ground
) -> Sites:
    checked.known_keys(entry, where, "kind", "sites", "blend")
    sites, sources = [], []
    given = checked.filled_list(entry, "sites", where, MAX_STYLES)
    for index, site in enumerate(given):
        name = f"{where}.sites[{index}]"
        if not isinstance(site, dict):
            raise UserError(
                f"{name} ({checked.shown(site)}) must be an object with a style "
                'and a place; write {"style": 7, "at": [0, 0]}'
            )
        if "rectangle" in site:
            checked.known_keys(site, name, "style", "rectangle")
            top, left, height, width = checked.rectangle(site, name)
            sites.append(Site(top, top + height, left, left + width))
        else:
            checked.known_keys(site, name, "style", "at", "rectangle")
            y, x = checked.place(site, "at", name)
            sites.append(Site(y, y, x, x))
        sources.append(references.source(site.get("style"), f"{name}.style"))
    default = None if "blend" in entry else fusion.default_blend(sites)
    blend = checked.positive(entry, "blend", where, default)
    return Sites(tuple(sites), tuple(sources), float(blend))


def _chain(
    entry: checked.Entry, where: str, references: References, ground: Ground
) -> Chain:
    names = ("kind", "styles", "every", "start", "blend", "cyclic")
    checked.known_keys(entry, where, *names)
    every = checked.positive(entry, "every", where)
    sources = references.sources(entry, where)
    cyclic = checked.truth(entry, "cyclic", where, False)
    start = checked.whole(entry, "start", where, 0)
    blend = checked.positive(entry, "blend", where, every)
    fusion.check_chain(len(sources), every, cyclic, ground.period[1], blend)
    return Chain(sources, every, float(blend), start, cyclic)


def _biomes(
    entry: checked.Entry, where: str, references: References, ground: Ground
) -> Biomes:
    checked.known_keys(entry, where, "kind", "every", "blend")
    every = checked.positive(entry, "every", where)
    blend = checked.positive(entry, "blend", where, max(every // 2, 1))
    return fusion.biomes(ground.seed, every, blend, ground.period)


def _map(
    entry: checked.Entry, where: str, references: References, ground: Ground
) -> Painted:
    names = ("kind", "file", "styles", "rectangle", "blend")
    checked.known_keys(entry, where, *names)
    sources = references.sources(entry, where)
    rectangle = checked.rectangle(entry, where)
    blend = checked.positive(entry, "blend", where, fusion.MAP_BLEND)
    levels = references.opened(entry.get("file"), f"{where}.file", fusion.read_map)
    return fusion.painted(levels, sources, rectangle, blend, ground.period)


# Of an entry's "kind".
KINDS: dict[str, Callable[[checked.Entry, str, References, Ground], StyleField]] = {
    "one": _one,
    "sites": _sites,
    "chain": _chain,
    "biomes": _biomes,
    "map": _map,
}
