"""Options that say what a world shows and how it is painted, each declared once.

Parsers of the verbs that paint worlds, default names and what world files say follow
from the one table here.
"""

import argparse
import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infinitygan_jax import files
from infinitygan_jax.cli import options, seeds
from infinitygan_jax.config import DEFAULT_MODEL, PAINTING, ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Window

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.sampling.world import World
    from infinitygan_jax.worldfile import documents

_BLEND_OF_BIOMES = (
    "over how many pixels one of --biomes changes into the next (default: half of that)"
)
# What says seed and styles of a picture, and makes no sense where others do.
OF_PICTURES = ("seed", "seeds", "styles", "style_map", "every", "save_world")
SEED_PLACE = "{seed}"  # of names of files


@dataclasses.dataclass(frozen=True)
class _Option:
    """An option of the verbs that paint worlds.

    Attributes:
      keywords: of ``add_argument``.
      key: the entry of a world file that says it; one of the option's own name has its
        very value. None: a file does not say it.
      part: what default names call it; None: they do not.
    """

    keywords: Mapping[str, Any]
    key: str | None = None
    part: str | None = None


def _pixels(help_text: str) -> dict[str, Any]:
    return {"type": int, "metavar": "PIXELS", "help": help_text}


_OPTIONS = {
    "seed": _Option(
        {
            "type": int,
            "metavar": "N",
            "help": "which picture, 0 to 2**64 - 1 (default: 0)",
        },
        key="seed",
    ),
    "seeds": _Option(
        {
            "nargs": "+",
            "metavar": "SEED",
            "help": "a picture of each of these seeds, as a file of its own"
            f"{seeds.HOW}. Of names of files, {SEED_PLACE} is the seed's place; given "
            "again, finished ones are left as they are",
        },
        key="seed",
    ),
    "horizon": _Option(
        {
            "type": int,
            "metavar": "Y",
            "help": "world row of a landscape's horizon (default: 0)",
        },
        key="horizon",
        part="horizon",
    ),
    "vertical_span": _Option(
        _pixels(
            "spread a landscape's range, from the highest sky to the nearest ground, "
            "over so many pixels (default: four times that of training)"
        ),
        key="vertical_span",
        part="span",
    ),
    "wrap": _Option(
        {
            "choices": ("x", "y", "xy"),
            "help": "let left and right edges (x), top and bottom (y) or both continue "
            "into each other: the world repeats after --size",
        },
        key="period",
        part="wrap",
    ),
    "level": _Option(
        {
            "type": int,
            "default": 0,
            "metavar": "J",
            "help": "zoom out: the world at 1/2^J of its size, averaged; --size and "
            "the place of what is painted are of the smaller picture, all else of "
            "level 0 (default: %(default)s)",
        },
        part="level",
    ),
    "quick": _Option(
        {
            "action": "store_true",
            "help": "with --level: zoom out by stopping the generator early, at less "
            "cost and to another picture of the same place",
        },
        part="quick",
    ),
    "tile": _Option(
        _pixels("pixels a side that are painted at once (default: what is fast)")
    ),
    "styles": _Option(
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
    "style_map": _Option(
        {
            "metavar": "MAP.png",
            "help": "paint each of --styles where this picture has one of its grey "
            "levels (or palette indices), the first where it has the lowest; laid over "
            "the picture",
        },
        key="styles",
    ),
    "every": _Option(
        _pixels(
            "place --styles side by side from world column 0 on, this far apart; with "
            "--wrap x the first follows the last"
        ),
        key="styles",
        part="every",
    ),
    "biomes": _Option(
        _pixels("a new style about every so many pixels, for ever, in both directions"),
        key="styles",
        part="biomes",
    ),
    "blend": _Option(
        _pixels(
            "over how many pixels one style changes into the next (default: all the "
            "way between two; half of it for --biomes, 64 for a map)"
        ),
        key="styles",
    ),
    "octaves": _Option(
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
        name: _Option(options.painting_keywords(name), key=name, part=name)
        for name in PAINTING
    },
    "world": _Option(
        {
            "metavar": "FILE",
            "help": "paint the world that this file describes (see docs/world_file.md)",
        }
    ),
    "save_world": _Option(
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
    for name, option in _OPTIONS.items():
        if name not in without:
            keywords = dict(option.keywords)
            keywords["help"] = helps.get(name, keywords["help"])
            parser.add_argument(f"--{name}", **keywords)


def opened(args: argparse.Namespace) -> "documents.Document | None":
    """The document of ``--world``, if given.

    Raises:
      ValueError: options contradict each other, or it cannot be read.
    """
    options.painting_of(args)
    _check(args)
    if args.world is None:
        return None
    for name, option in _OPTIONS.items():
        if option.key is not None and getattr(args, name, None) is not None:
            raise UserError(
                f"--{name} is said by the world file ({args.world}); change it there, "
                "or leave --world out"
            )
    from infinitygan_jax.worldfile import documents

    return documents.load(args.world)


def _check(args: argparse.Namespace) -> None:
    if getattr(args, "seed", None) is not None and args.seeds is not None:
        raise UserError(
            f"--seed ({args.seed}) and --seeds exclude each other; give one of them"
        )
    places = "every" in args  # whether styles have places here
    styles = getattr(args, "styles", None)
    if places and styles is not None:
        seeds.styles("--styles", styles)  # while nothing is loaded yet
    if styles is None:
        for name in ("style_map", "every"):
            if getattr(args, name, None) is not None:
                raise UserError(f"--{name} needs --styles; give at least one")
    elif args.biomes is not None:
        raise UserError("--styles and --biomes exclude each other; give one of them")
    if args.blend is not None and args.biomes is None:
        if not places:
            raise UserError(
                f"--blend ({args.blend}) needs --biomes; give it, e.g. --biomes 512"
            )
        if styles is None:
            raise UserError("--blend needs --styles or --biomes; give one of them")
    for name in ("every", "biomes", "blend"):
        value = getattr(args, name, None)
        if value is not None and not 1 <= value < 2**31:
            raise UserError(
                f"--{name} ({value}) must be from 1 to 2**31 - 1 pixels; use 1024"
            )
    if getattr(args, "save_world", None) is not None:
        _check_save(pathlib.Path(args.save_world), args.out)


def _check_save(path: pathlib.Path, out: str | None) -> None:
    exists = os.path.lexists(path)
    if exists and (os.path.islink(path) or not os.path.isfile(path)):
        raise UserError(f"--save_world ({path}) must be a file; choose another name")
    files.check_name(path)
    files.check_folder(path.absolute().parent)
    if out is not None and path.absolute() == pathlib.Path(out).absolute():
        raise UserError(
            f"--save_world ({path}) must be another file than --out; write e.g. "
            f"{path.stem}.json"
        )


def check_saved(args: argparse.Namespace, document: "documents.Document") -> None:
    """Checks, before anything is painted, that ``--save_world`` can be written.

    Raises:
      ValueError: it names files that are not beside it, or another file is there.
    """
    if args.save_world is None:
        return
    path = pathlib.Path(args.save_world)
    content = document.moved_to(path).to_bytes()
    # Shards and resumed jobs save it again.
    if path.exists() and not args.overwrite and path.read_bytes() != content:
        raise UserError(
            f"--save_world ({path}) exists; choose another name, or add --overwrite"
        )


def document_of(
    args: argparse.Namespace,
    window: Window,
    bundle: "bundle_lib.Bundle",
    seed: int,
) -> "documents.Document":
    """The world that the options describe, as a document.

    Args:
      args: what was parsed.
      window: that the picture, or each of several, shows.
      bundle: the checkpoint.
      seed: of the world.

    Raises:
      ValueError: an option is not of its form.
    """
    from infinitygan_jax.sampling import fusion
    from infinitygan_jax.worldfile import documents

    values: dict[str, Any] = {"seed": seed}
    for name, option in _OPTIONS.items():
        value = getattr(args, name, None)
        as_it_is = option.key == name and name not in ("seed", "styles")
        if as_it_is and value is not None:
            values[name] = value
    period = _period(args, window, bundle.config.model)
    if any(period):
        values["period"] = list(period)
    if args.biomes is not None:
        values["styles"] = {"kind": "biomes", "every": args.biomes}
        if args.blend is not None:
            values["styles"]["blend"] = args.blend
    elif "every" in args and args.styles is not None:
        whole = Window(  # of level 0, as documents are
            window.top << args.level,
            window.left << args.level,
            window.height << args.level,
            window.width << args.level,
        )
        values["styles"] = fusion.styles_entry(
            seeds.styles("--styles", args.styles),
            whole,
            every=args.every,
            map_name=args.style_map,
            blend=args.blend,
            cyclic=period[1] is not None,
        )
    return documents.Document(bundle.config.name, bundle.digest, values)


def _period(
    args: argparse.Namespace, window: Window, model: ModelConfig
) -> tuple[int | None, int | None]:
    """Pixels of level 0 after which the world repeats: what the picture shows."""
    planning.check_level(args.level, args.quick, model)
    sides = {"y": ("height", window.height), "x": ("width", window.width)}
    period = []
    for axis, (name, side) in sides.items():
        wraps = axis in (args.wrap or "")
        if wraps:
            cell = model.cell_size >> args.level
            planning.check_period(f"--size's {name}", side, cell)
        period.append(side << args.level if wraps else None)
    return tuple(period)


def bundle_of(
    args: argparse.Namespace, document: "documents.Document | None"
) -> "bundle_lib.Bundle":
    """The checkpoint that is painted with: of the options, or of a world file.

    Raises:
      ValueError: there is none of this name, or it cannot be read.
    """
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.training import stored

    name = args.checkpoint
    if document is None:
        return stored.load_bundle(name or DEFAULT_MODEL)
    if name is None and document.name not in bundle_lib.bundled_names():
        raise UserError(
            f"the world is of checkpoint {document.name} ({document.digest[:12]}), "
            "which is not bundled; say where it is with --checkpoint"
        )
    return stored.load_bundle(name or document.name)


def each_of(args: argparse.Namespace) -> list[argparse.Namespace]:
    """The options of each picture, as they would be given for it alone.

    Raises:
      ValueError: several would be written to one file.
    """
    if args.seeds is None:
        return [args]
    for name in ("out", "save_world"):
        text = getattr(args, name)
        if text is not None and SEED_PLACE not in text:
            path = pathlib.Path(text)
            raise UserError(
                f"--{name} ({text}) must hold {SEED_PLACE}, as --seeds gives each its "
                f"own file; write e.g. {path.stem}-{SEED_PLACE}{path.suffix}"
            )
    found = []
    for seed in dict.fromkeys(seeds.listed("--seeds", args.seeds)):
        own = {"seed": seed, "seeds": None}
        for name in ("out", "save_world"):
            text = getattr(args, name)
            own[name] = text and text.replace(SEED_PLACE, str(seed))
        found.append(argparse.Namespace(**{**vars(args), **own}))
    return found


def of_seed(world: "World", seed: int) -> "World":
    """The world that the same options describe with another seed.

    It is made in no time, as parameters are not checked again.

    Args:
      world: of options, and not of a world file.
      seed: of the other.
    """
    from infinitygan_jax.sampling.styles import Biomes

    scene = world.scene
    if isinstance(scene.styles, Biomes):
        own = dataclasses.replace(scene.styles, seed=seed)
        scene = dataclasses.replace(scene, styles=own)
    return world.varied(seed, scene)


def world_of(
    args: argparse.Namespace,
    document: "documents.Document",
    bundle: "bundle_lib.Bundle",
    tile_size_for: Callable[[ModelConfig, int], int] | None = None,
) -> "World":
    """The world of a document, painted as the options say.

    Args:
      args: what was parsed.
      document: of these options, or of ``--world``.
      bundle: the checkpoint.
      tile_size_for: the size of tiles where ``--tile`` is not given, of the model as it
        is painted and the levels by which its tiles are averaged. Default: the world's.

    Raises:
      ValueError: an entry or option is not as it must be.
    """
    how = {"level": args.level, "quick": args.quick}
    tile_size = args.tile
    if tile_size is None and tile_size_for is not None:
        painted = document.world(bundle, **how).painted_config
        tile_size = tile_size_for(painted, 0 if args.quick else args.level)
    return document.world(bundle, tile_size=tile_size, **how)


def name_part(args: argparse.Namespace) -> str:
    """What the options add to the name of a picture that has none."""
    part = ""
    for name, option in _OPTIONS.items():
        value = getattr(args, name, None)
        # 0 is no choice of a picture's, but of truncation it is one.
        if option.part is None or value is None or value is False:
            continue
        if value == 0 and isinstance(value, int):
            continue
        if name == "styles":
            styles = (re.sub(r"@[^@,]*,[^@,]*$", "", text) for text in value)
            seeds = (pathlib.Path(style).stem for style in styles)
            part += f"-styles{'_'.join(seeds)}"[:80]
        else:
            part += f"-{option.part}{'' if value is True else value}"
    return part
