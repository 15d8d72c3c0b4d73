"""Options that say what a world shows and how it is painted, each declared once.

Parsers of the verbs that paint worlds, default names and what world files say follow
from the one table here.
"""

import argparse
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from infinitygan_jax.cli import options, seeds
from infinitygan_jax.config import PAINTING
from infinitygan_jax.sampling import plan as planning

_BLEND_OF_BIOMES = (
    "over how many pixels one of --biomes changes into the next (default: half of that)"
)
# What says seed and styles of a picture, and makes no sense where others do.
OF_PICTURES = ("seed", "seeds", "styles", "style_map", "every", "save_world")
SEED_PLACE = "{seed}"  # of names of files


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of the verbs that paint worlds.

    Attributes:
      keywords: of ``add_argument``.
      key: the entry of a world file that says it; one of the option's own name has its
        very value. None: a file does not say it.
      part: what default names call it; None: they do not.
      excludes: name of the one that says the same in another way.
    """

    keywords: Mapping[str, Any]
    key: str | None = None
    part: str | None = None
    excludes: str | None = None


def _pixels(help_text: str) -> dict[str, Any]:
    return {"type": int, "metavar": "PIXELS", "help": help_text}


def level_of(text: str) -> int:
    """A level as it was typed.

    Raises:
      argparse.ArgumentTypeError: no whole number, or of no world.
    """
    numbers = options.whole_numbers(text, "N")
    if not numbers or abs(numbers[0]) > planning.MAX_ZOOMS:
        most = planning.MAX_ZOOMS
        raise argparse.ArgumentTypeError(
            f"({text}) must be a whole number from {-most} to {most}; 0 is as painted"
        )
    return numbers[0]


def level_of_zoom(text: str) -> int:
    """The level that is ``--zoom`` times as large as level 0.

    Raises:
      argparse.ArgumentTypeError: not a power of two, or too large.
    """
    numbers = options.whole_numbers(text, "N", 100)
    zoom = numbers[0] if numbers else 0
    if zoom < 1 or zoom & (zoom - 1):
        near = 1 << max(zoom, 1).bit_length() - 1
        raise argparse.ArgumentTypeError(
            f"({text}) must be a power of two, as detail doubles the size each time; "
            f"use {min(near, 1 << planning.MAX_ZOOMS)}"
        )
    if zoom > 1 << planning.MAX_ZOOMS:
        raise argparse.ArgumentTypeError(
            f"({text}) must be at most 2**{planning.MAX_ZOOMS}, where positions end; "
            "use less"
        )
    return 1 - zoom.bit_length()


def zoom_as_typed(text: str) -> str:
    """``--zoom_from`` or ``--zoom_to``, checked.

    Raises:
      argparse.ArgumentTypeError: see `level_of_zoom`.
    """
    level_of_zoom(text)
    return text


OPTIONS = {
    "seed": Option(
        {
            "type": int,
            "metavar": "N",
            "help": "which picture, 0 to 2**64 - 1 (default: 0)",
        },
        key="seed",
    ),
    "seeds": Option(
        {
            "nargs": "+",
            "metavar": "SEED",
            "help": "a picture of each of these seeds, as a file of its own"
            f"{seeds.HOW}. Of names of files, {SEED_PLACE} is the seed's place; given "
            "again, finished ones are left as they are",
        },
        key="seed",
    ),
    "horizon": Option(
        {
            "type": int,
            "metavar": "Y",
            "help": "world row of a landscape's horizon (default: 0)",
        },
        key="horizon",
        part="horizon",
    ),
    "vertical_span": Option(
        _pixels(
            "spread a landscape's range, from the highest sky to the nearest ground, "
            "over so many pixels (default: that of training)"
        ),
        key="vertical_span",
        part="span",
    ),
    "wrap": Option(
        {
            "choices": ("x", "y", "xy"),
            "help": "let left and right edges (x), top and bottom (y) or both continue "
            "into each other: the world repeats after --size",
        },
        key="period",
        part="wrap",
    ),
    "level": Option(
        {
            "type": level_of,
            "metavar": "J",
            "help": "zoom out: the world at 1/2^J of its size, averaged; below 0, zoom "
            "in, as --zoom does; --size and the place of what is painted are of the "
            "picture shown, all else of level 0 (default: see --zoom)",
        },
        part="level",
    ),
    "zoom": Option(
        {
            "dest": "level",
            "type": level_of_zoom,
            "default": argparse.SUPPRESS,
            "metavar": "K",
            "help": "see the world K times as large, K a power of two, with detail of "
            "its own; the same as --level, of which -4 is --zoom 16 (default: as large "
            "as leaves the picture the height of one landscape, if the model has a "
            "detail synthesizer; else 1)",
        },
        excludes="level",
    ),
    "quick": Option(
        {
            "action": "store_true",
            "help": "with --level: zoom out by stopping the generator early, at less "
            "cost and to another picture of the same place",
        },
        part="quick",
    ),
    "tile": Option(
        _pixels("pixels a side that are painted at once (default: what is fast)")
    ),
    "styles": Option(
        {
            "nargs": "+",
            "metavar": "SEED[@Y,X]",
            "help": "styles of these seeds (or of inversions, FILE.npz), each at its "
            "place in the picture (0 to 1 of its height and width), blending into each "
            "other; without places evenly from left to right, with --every so far "
            f"apart, with --style_map where the map says{seeds.HOW}",
        },
        key="styles",
        part="styles",
    ),
    "style_map": Option(
        {
            "metavar": "MAP.png",
            "help": "paint each of --styles where this picture has one of its grey "
            "levels (or palette indices), the first where it has the lowest; laid over "
            "the picture",
        },
        key="styles",
    ),
    "every": Option(
        _pixels(
            "place --styles side by side from world column 0 on, this far apart; with "
            "--wrap x the first follows the last"
        ),
        key="styles",
        part="every",
    ),
    "biomes": Option(
        _pixels("a new style about every so many pixels, for ever, in both directions"),
        key="styles",
        part="biomes",
    ),
    "blend": Option(
        _pixels(
            "over how many pixels one style changes into the next (default: all the "
            "way between two; half of it for --biomes, 64 for a map)"
        ),
        key="styles",
    ),
    "octaves": Option(
        {
            "type": int,
            "metavar": "N",
            "help": "sum N fields of local latents, each twice as coarse: larger "
            "forms, and less like what the model was trained on (default: 1)",
        },
        key="octaves",
        part="octaves",
    ),
    **{
        name: Option(options.painting_keywords(name), key=name, part=name)
        for name in PAINTING
    },
    "world": Option(
        {
            "metavar": "FILE",
            "help": "paint the world that this file describes (see docs/world_file.md)",
        }
    ),
    "save_world": Option(
        {
            "metavar": "FILE",
            "help": "also write the world that these options describe to a file",
        }
    ),
}


def add_to(
    parser: argparse.ArgumentParser,
    without: Sequence[str] = (),
    helps: Mapping[str, str] | None = None,
) -> None:
    """Adds the options.

    Args:
      parser: of a command.
      without: names of those that make no sense there.
      helps: what ``--help`` says of some in this command.
    """
    options.add_checkpoint(parser, None)  # a world file says it, too
    helps = dict(helps or {})
    if "styles" in without:
        helps.setdefault("blend", _BLEND_OF_BIOMES)
    groups: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for option in OPTIONS.values():
        if option.excludes is not None:
            groups[option.excludes] = parser.add_mutually_exclusive_group()
    for name, option in OPTIONS.items():
        if name not in without:
            keywords = dict(option.keywords)
            keywords["help"] = helps.get(name, keywords["help"])
            group = groups.get(option.excludes or name, parser)
            group.add_argument(f"--{name}", **keywords)


def name_part(args: argparse.Namespace) -> str:
    """What the options add to the name of a picture that has none."""
    part = ""
    for name, option in OPTIONS.items():
        value = getattr(args, name, None)
        # 0 is no choice of a picture's, but of truncation it is one.
        if option.part is None or value is None or value is False:
            continue
        if value == 0 and isinstance(value, int):
            continue
        if name == "level" and value < 0:
            part += f"-zoom{1 << -value}"
            continue
        if name == "styles":
            styles = (re.sub(r"@[^@,]*,[^@,]*$", "", text) for text in value)
            seeds = (pathlib.Path(style).stem for style in styles)
            part += f"-styles{'_'.join(seeds)}"[:80]
        else:
            part += f"-{option.part}{'' if value is True else value}"
    return part
