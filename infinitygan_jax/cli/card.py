"""``python -m infinitygan_jax.cli.card FILE CARD.md``: what a model is."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import files
from infinitygan_jax.cli import errors, options
from infinitygan_jax.seed_range import check_seed

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib

_CARD = """# {name}

An InfinityGAN of {parameters:,} generator parameters, made by this project.

![samples]({images}/{name}-samples.jpg)

Samples: a latent each, patches of {patch} px centred on the horizon.

![wide pictures]({images}/{name}-wide.jpg)

Pictures four patches wide, of four latents. In both sheets local latents and noise are
as in training; below, as `model.truncation` and `model.noise_scale` say.

![a window]({images}/{name}-window.jpg)

{window}

{rows}

**Use.** {use}

**Limits.** It paints what patches of {patch} px can show: skies, horizons and grounds
at the scale of photographs of {full} px. There are no single objects, and textures
repeat in kind, though never in place. {limits}

## Settings

{settings}

This page and its pictures were written by `python -m infinitygan_jax.cli.card`; table
and settings are what the file itself says.
"""


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.card",
        description="Writes a model's card: a page with its origin, and sample sheets "
        "in the folder images/ beside it.",
    )
    parser.add_argument("checkpoint", metavar="FILE", help="a .safetensors file")
    parser.add_argument("card", metavar="CARD.md", help="page to write")
    parser.add_argument("--seed", type=int, default=0, help="of the wide window")
    options.add_overwrite(parser)
    args = parser.parse_args(argv)
    card = pathlib.Path(args.card)
    files.check_target(card, ".md")
    files.check_free(card, args.overwrite)

    from PIL import Image

    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax import devices
    from infinitygan_jax.training.sheets import SheetPainter

    check_seed(args.seed, "--seed")
    devices.prepare()
    bundle = bundle_lib.load(args.checkpoint)
    name = bundle.config.name
    images = card.parent / "images"
    paths = {
        label: images / f"{name}-{label}.jpg" for label in ("samples", "wide", "window")
    }
    for path in paths.values():
        files.check_free(path, args.overwrite)
    sheets = SheetPainter(bundle.config)(bundle.generator)
    images.mkdir(exist_ok=True)
    for label, sheet in (("samples", sheets["samples"]), ("wide", sheets["wide_4x"])):
        # Larger, without smoothing: a patch is small on a page.
        times = max(2, round(200 / bundle.config.model.patch_size))
        picture = Image.fromarray(sheet.repeat(times, axis=0).repeat(times, axis=1))
        picture.save(paths[label], quality=90)
    window, shown = _window(bundle, args.seed)
    Image.fromarray(window).save(paths["window"], quality=90)
    card.write_text(_page(bundle, images.name, shown), encoding="utf-8")
    step = bundle.info.get("step", "unknown")
    print(f"{card}: step {step}, digest {bundle.digest}")


def _window(
    bundle: "bundle_lib.Bundle", seed: int
) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
    """A part of the world, one landscape where there is detail; and what it is."""
    from infinitygan_jax.sampling.frame import landscape_level
    from infinitygan_jax.sampling.world import World, detail_of

    model, detail = bundle.config.model, detail_of(bundle)
    if detail is None:
        shown = f"The window `[-192:192, 0:1536]` of the world of seed {seed}."
        world = World(model, bundle.generator, seed=seed)
        return np.asarray(world[-192:192, 0:1536]), shown
    level = landscape_level(model, 768)
    shown = (
        f"The window `[-384:384, 0:1536]` of level {level} of the world of seed "
        f"{seed}, with detail (`--zoom {1 << -level}`)."
    )
    world = World(model, bundle.generator, seed=seed, level=level, detail=detail)
    return np.asarray(world[-384:384, 0:1536]), shown


def _page(bundle: "bundle_lib.Bundle", images: str, shown: str) -> str:
    """The page.

    Args:
      bundle: the model.
      images: name of the folder that its pictures lie in.
      shown: what the last of them shows.
    """
    import jax

    from infinitygan_jax import settings as settings_lib

    info = dict(bundle.info)
    texts = {key: info.pop(key, "") for key in ("use", "limits")}
    texts["use"] = texts["use"] or "Not stated: ask whoever trained it."
    rows = {**info, "digest": f"`{bundle.digest}`"}
    lines = settings_lib.setting_lines(bundle.config)
    settings = [line for line in lines if not line.startswith("detail.")]
    if bundle.detail is not None:
        more = {f"detail's {key}": text for key, text in bundle.detail.info.items()}
        rows = {**info, **more, "digest": rows["digest"]}
        lines = settings_lib.setting_lines(bundle.detail.config)
        settings += ["", *(line for line in lines if not line.startswith("model."))]
    table = [f"| {key} | {value} |" for key, value in rows.items()]
    return _CARD.format(
        name=bundle.config.name,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(bundle.generator)),
        images=images,
        patch=bundle.config.model.patch_size,
        window=shown,
        full=bundle.config.data.full_size,
        rows="\n".join(["| | |", "|---|---|", *table]),
        settings="\n".join(f"    {line}".rstrip() for line in settings),
        **texts,
    )


if __name__ == "__main__":
    errors.run(main)
