"""The worlds that a command's options describe: checked, saved, and ready to paint."""

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from infinitygan_jax import files
from infinitygan_jax.cli import options, seeds, world_options
from infinitygan_jax.config import DEFAULT_MODEL, ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.seed_range import check_seed

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.sampling.world import World
    from infinitygan_jax.worldfile import documents


def opened(args: argparse.Namespace) -> "documents.Document | None":
    """The document of ``--world``, if given.

    Raises:
      ValueError: options contradict each other, or it cannot be read.
    """
    options.painting_of(args)
    _check(args)
    if args.world is None:
        return None
    for name, option in world_options.OPTIONS.items():
        if option.key is not None and getattr(args, name, None) is not None:
            raise UserError(
                f"--{name} is said by the world file ({args.world}); change it there, "
                "or leave --world out"
            )
    from infinitygan_jax.worldfile import documents

    return documents.load(args.world)


def _check(args: argparse.Namespace) -> None:
    seed = getattr(args, "seed", None)
    if seed is not None:
        if args.seeds is not None:
            raise UserError(
                f"--seed ({seed}) and --seeds exclude each other; give one of them"
            )
        check_seed(seed, "--seed")
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
    for name, option in world_options.OPTIONS.items():
        value = getattr(args, name, None)
        as_it_is = option.key == name and name not in ("seed", "styles")
        if as_it_is and value is not None:
            values[name] = value
    period = _period(args, window, bundle.config.model, bundle.detail is not None)
    if any(period):
        values["period"] = list(period)
    if args.biomes is not None:
        values["styles"] = {"kind": "biomes", "every": args.biomes}
        if args.blend is not None:
            values["styles"]["blend"] = args.blend
    elif "every" in args and args.styles is not None:
        whole = _at_level_0(window, args.level)  # as documents are
        values["styles"] = fusion.styles_entry(
            seeds.styles("--styles", args.styles),
            whole,
            every=args.every,
            map_name=args.style_map,
            blend=args.blend,
            cyclic=period[1] is not None,
        )
    return documents.Document(bundle.config.name, bundle.digest, values)


def _at_level_0(window: Window, level: int) -> Window:
    """What a window of another level shows, in pixels of level 0 that it touches."""
    top, left = (planning.at_level(x, -level) for x in (window.top, window.left))
    bottom, right = (
        -planning.at_level(-x, -level) for x in (window.bottom, window.right)
    )
    return Window(top, left, bottom - top, right - left)


def _period(
    args: argparse.Namespace, window: Window, model: ModelConfig, has_detail: bool
) -> tuple[int | None, int | None]:
    """Pixels of level 0 after which the world repeats: what the picture shows."""
    planning.check_level(args.level, args.quick, model, has_detail)
    sides = {"y": ("height", window.height), "x": ("width", window.width)}
    period = []
    for axis, (name, side) in sides.items():
        wraps = axis in (args.wrap or "")
        if wraps:
            cell = planning.at_level(model.cell_size, args.level)
            at = f" at --zoom {1 << -args.level}" if args.level < 0 else ""
            planning.check_period(f"--size's {name}{at}", side, cell)
        period.append(planning.at_level(side, -args.level) if wraps else None)
    height, width = period
    return height, width


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


def settle_level(
    args: argparse.Namespace, bundle: "bundle_lib.Bundle", height: int
) -> None:
    """Sets the level of a picture of so many rows, where no option says it.

    It is that at which the picture shows one landscape; without a detail synthesizer,
    or with ``--quick``, it is 0.
    """
    from infinitygan_jax.sampling import frame

    if args.level is None:
        can_zoom = bundle.detail is not None and not args.quick
        model = bundle.config.model
        args.level = frame.landscape_level(model, height) if can_zoom else 0


def each_of(args: argparse.Namespace) -> list[argparse.Namespace]:
    """The options of each picture, as they would be given for it alone.

    Raises:
      ValueError: several would be written to one file.
    """
    if args.seeds is None:
        return [args]
    place = world_options.SEED_PLACE
    for name in ("out", "save_world"):
        text = getattr(args, name)
        if text is not None and world_options.SEED_PLACE not in text:
            path = pathlib.Path(text)
            raise UserError(
                f"--{name} ({text}) must hold {place}, as --seeds gives each its own "
                f"file; write e.g. {path.with_stem(path.stem + '-' + place)}"
            )
    found = []
    for seed in dict.fromkeys(seeds.listed("--seeds", args.seeds)):
        own = {"seed": seed, "seeds": None}
        for name in ("out", "save_world"):
            text = getattr(args, name)
            own[name] = text and text.replace(place, str(seed))
        found.append(argparse.Namespace(**{**vars(args), **own}))
    return found


def of_seed(world: "World", seed: int) -> "World":
    """The world that the same options describe with another seed.

    Args:
      world: of options, and not of a world file.
      seed: of the other.
    """
    from infinitygan_jax.sampling import styles as style_lib

    styles = world.scene.styles
    own = style_lib.of_seed(styles, seed) or styles
    scene = dataclasses.replace(world.scene, styles=own)
    return dataclasses.replace(world, seed=seed, scene=scene)


def world_of(
    args: argparse.Namespace,
    document: "documents.Document",
    bundle: "bundle_lib.Bundle",
    tile_size_for: Callable[["World"], int] | None = None,
) -> "World":
    """The world of a document, painted as the options say.

    Args:
      args: what was parsed.
      document: of these options, or of ``--world``.
      bundle: the checkpoint.
      tile_size_for: the size of tiles where ``--tile`` is not given, of the world with
        tiles of its default size, which stay where this is None.

    Raises:
      ValueError: an entry or option is not as it must be.
    """
    how = {"level": args.level, "quick": args.quick}
    world = document.world(bundle, tile_size=args.tile, **how)
    if args.tile is not None or tile_size_for is None:
        return world
    tile_size = tile_size_for(world)
    return dataclasses.replace(world, tile_size=tile_size, batch_size=None)
