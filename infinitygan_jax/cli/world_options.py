"""Options of ``run_sample.py`` that say what the world shows, and world files."""

import argparse
import os
import pathlib
import re
from typing import TYPE_CHECKING

from infinitygan_jax import files
from infinitygan_jax.cli import options
from infinitygan_jax.config import PAINTING
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import Window

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.worldfile import documents

# What a world file says, too.
_SAID = ("seed", "horizon", "vertical_span", "wrap", "styles", "style_map", "every")
_SAID += ("blend", "biomes", "octaves", *PAINTING)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--styles",
        nargs="+",
        metavar="SEED[@Y,X]",
        help="styles of these seeds (or of inversions, FILE.npz), each at its place in "
        "the picture (0 to 1 of its height and width), blending into each other; with "
        "--every side by side, with --style_map where the map says",
    )
    parser.add_argument(
        "--style_map",
        metavar="MAP.png",
        help="paint each of --styles where this picture has one of its grey levels (or "
        "palette indices), the first where it has the lowest; laid over the picture",
    )
    parser.add_argument(
        "--every",
        type=int,
        metavar="PIXELS",
        help="place --styles side by side from world column 0 on, this far apart; with "
        "--wrap x the first follows the last",
    )
    parser.add_argument(
        "--biomes",
        type=int,
        metavar="PIXELS",
        help="a new style about every so many pixels, for ever, in both directions",
    )
    parser.add_argument(
        "--blend",
        type=int,
        metavar="PIXELS",
        help="over how many pixels one style changes into the next (default: all the "
        "way between two; half of it for --biomes, 64 for a map)",
    )
    parser.add_argument(
        "--octaves",
        type=int,
        metavar="N",
        help="sum N fields of local latents, each twice as coarse: larger forms, and "
        "less like what the model was trained on (default: 1)",
    )
    options.add_painting(parser)
    parser.add_argument(
        "--world",
        metavar="FILE",
        help="paint the world that this file describes (see docs/world_file.md)",
    )
    parser.add_argument(
        "--save_world",
        metavar="FILE",
        help="also write the world that these options describe to a file",
    )


def opened(args: argparse.Namespace) -> "documents.Document | None":
    """The document of ``--world``, if given.

    Raises:
      ValueError: options contradict each other, or it cannot be read.
    """
    _check(args)
    if args.world is None:
        return None
    given = [name for name in _SAID if getattr(args, name) is not None]
    if given:
        raise UserError(
            f"--{given[0]} is said by the world file ({args.world}); change it there, "
            "or leave --world out"
        )
    from infinitygan_jax.worldfile import documents

    return documents.load(args.world)


def _check(args: argparse.Namespace) -> None:
    if args.styles is None:
        for name in ("style_map", "every"):
            if getattr(args, name) is not None:
                raise UserError(f"--{name} needs --styles; give at least one")
    elif args.biomes is not None:
        raise UserError("--styles and --biomes exclude each other; give one of them")
    if args.blend is not None and args.styles is None and args.biomes is None:
        raise UserError("--blend needs --styles or --biomes; give one of them")
    for name in ("every", "biomes", "blend"):
        value = getattr(args, name)
        if value is not None and not 1 <= value < 2**31:
            raise UserError(
                f"--{name} ({value}) must be from 1 to 2**31 - 1 pixels; use 1024"
            )
    if args.save_world is not None:
        path = pathlib.Path(args.save_world)
        exists = os.path.lexists(path)
        if exists and (os.path.islink(path) or not os.path.isfile(path)):
            raise UserError(
                f"--save_world ({path}) must be a file; choose another name"
            )
        files.check_name(path)
        files.check_folder(path.absolute().parent)
        if args.out is not None and path.absolute() == (
            pathlib.Path(args.out).absolute()
        ):
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
    period: tuple[int | None, int | None],
    bundle: "bundle_lib.Bundle",
) -> "documents.Document":
    """The world that the options describe, as a document.

    Raises:
      ValueError: an option is not of its form.
    """
    from infinitygan_jax.sampling import fusion
    from infinitygan_jax.worldfile import documents

    values = {"seed": args.seed or 0}
    for name in ("horizon", "vertical_span", "octaves", *PAINTING):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    if any(period):
        values["period"] = list(period)
    if args.biomes is not None:
        values["styles"] = {"kind": "biomes", "every": args.biomes}
        if args.blend is not None:
            values["styles"]["blend"] = args.blend
    elif args.styles is not None:
        whole = Window(  # of level 0, as documents are
            *(window.top << args.level, window.left << args.level),
            *(window.height << args.level, window.width << args.level),
        )
        values["styles"] = fusion.styles_entry(
            args.styles,
            whole,
            every=args.every,
            map_name=args.style_map,
            blend=args.blend,
            cyclic=period[1] is not None,
        )
    return documents.Document(bundle.config.name, bundle.digest, values)


def checkpoint_of(
    document: "documents.Document", checkpoint: str | None
) -> "bundle_lib.Bundle":
    """The checkpoint of a world file.

    Args:
      document: the file.
      checkpoint: of ``--checkpoint``, if given.

    Raises:
      ValueError: there is none of this name, or it cannot be read.
    """
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.training import stored

    if checkpoint is None and document.name not in bundle_lib.bundled_names():
        raise UserError(
            f"the world is of checkpoint {document.name} ({document.digest[:12]}), "
            "which is not bundled; say where it is with --checkpoint"
        )
    return stored.load_bundle(checkpoint or document.name)


def words(args: argparse.Namespace) -> list[str]:
    """The options as words of a command; without folders."""
    found = []
    if args.styles is not None:
        found += ["--styles", *(pathlib.Path(text).name for text in args.styles)]
    for name in ("style_map", "world"):
        if getattr(args, name) is not None:
            found.append(f"--{name}={pathlib.Path(getattr(args, name)).name}")
    for name in ("every", "biomes", "blend", "octaves", *PAINTING):
        if getattr(args, name) is not None:
            found.append(f"--{name}={getattr(args, name)}")
    return found


def name_part(args: argparse.Namespace) -> str:
    """What the options add to the name of a picture that has none."""
    part = ""
    if args.styles is not None:
        styles = (re.sub(r"@[^@,]*,[^@,]*$", "", text) for text in args.styles)
        seeds = (pathlib.Path(style).stem for style in styles)
        part += f"-styles{'_'.join(seeds)}"[:80]
    for name in ("every", "biomes", "octaves", *PAINTING):
        if getattr(args, name) is not None:
            part += f"-{name}{getattr(args, name)}"
    return part
