"""From noise to a picture, with the parts of the model themselves.

    python examples/minimal.py --seed 20 --size 64 --out minimal.png

`World` paints in tiles, on all devices, with any styles and edits. This paints one
square at once, so that what the model does can be read from the top down, and
compares it with what `World` paints there. In the end it is seen larger, with detail.
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from infinitygan_jax import World, coords, fields, geometry, load_bundle
from infinitygan_jax.bundle import Bundle
from infinitygan_jax.cli.errors import exit_on_error
from infinitygan_jax.files import check_folder
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import detail, generator

OCTAVES = 3  # of detail
MAX_SIZE = 256  # pixels a side: some 2 GB, as layers of detail are of the whole square


def spans_along(start: int, size: int, num_stages: int) -> geometry.AxisSpans:
    """Which latents and noise make some pixels, along rows or columns.

    More than show: no convolution pads, so each layer is smaller than its input.
    """
    cell = 2**num_stages  # pixels that one structure cell spans
    first, stop = start // cell, -(-(start + size) // cell)
    num_cells = stop - first + geometry.TILE_CELLS_EXTRA
    return geometry.axis_spans(
        first - geometry.TILE_CELLS_BEFORE, num_cells, num_stages
    )


def draw(
    seed: int, stream: int, rows: geometry.Span, cols: geometry.Span, num_channels: int
) -> jax.Array:
    """Standard normal numbers, [1, rows, columns, channels].

    Each is a hash of the seed and of its own place, and of no other number. So a place
    has the same ones whichever window it is drawn for, and windows fit together.
    """
    key = fields.stream_key(seed, stream)
    places = (fields.words(span.start, span.size) for span in (rows, cols))
    field = jax.jit(fields.normal_field, static_argnums=3)
    return field(key, *places, num_channels)[None]


def paint(bundle: Bundle, seed: int, top: int, left: int, size: int) -> np.ndarray:
    """A square of a seed's world, uint8 (size, size, 3), from a row and a column on."""
    model = bundle.config.model
    rows, cols = (spans_along(start, size, model.num_stages) for start in (top, left))

    # What is random: one vector for the whole world, which becomes its style; a vector
    # for each cell, which becomes what is there; and a map for each convolution of the
    # texture synthesizer, which becomes fine detail.
    z_global = fields.global_latent(seed, model.z_global_size)[None]
    z_local = draw(seed, fields.Z_LOCAL, rows.latent, cols.latent, model.z_local_size)
    noise = [
        draw(seed, fields.NOISE + layer, *spans, 1)
        for layer, spans in enumerate(zip(rows.noise, cols.noise, strict=True))
    ]

    # Where the cells are: rows as tanh of the distance from the horizon, so that far up
    # there is only sky; columns as cosine and sine, which have no end.
    row_part, col_part = coords.world_coords(
        model.coords,
        rows.latent.start,
        rows.latent.size,
        cols.latent.start,
        cols.latent.size,
        coords.trained_frame(model.vertical_starts),
    )
    places = coords.grid(jnp.asarray(row_part), jnp.asarray(col_part))[None]

    # A little less variety and grain than in training look better.
    z_local = z_local * np.float32(model.truncation)
    params = generator.with_noise_scale(bundle.generator, model.noise_scale)

    # What is learned: latents and places become structure, a vector for each cell, and
    # structure becomes pixels, in stages that each double the resolution.
    networks = generator.make_generator(model)
    apply = jax.jit(networks.apply, static_argnames="method")
    params = {"params": params}  # as Flax has it
    structure = apply(params, z_local, places, z_global, method="structure")
    style = apply(params, z_global, method="mapping")
    styles = generator.slot_styles(style, model.num_slots)  # one for each layer
    colours = apply(params, structure, styles, noise, method="texture")

    # Whole cells were painted, of which the square is a part.
    y, x = top - rows.pixels.start, left - cols.pixels.start
    return np.asarray(generator.to_uint8(colours)[0, y : y + size, x : x + size])


@exit_on_error
def main(argv: list[str] | None = None) -> None:
    """Paints a square, writes it, and compares it with what `World` paints there."""
    args = _parser().parse_args(argv)
    if not 1 <= args.size <= MAX_SIZE:
        raise UserError(
            f"--size ({args.size}) must be from 1 to {MAX_SIZE}, as the square is "
            "painted at once; run_sample.py paints any size"
        )
    check_folder(pathlib.Path(args.out).absolute().parent)
    bundle = load_bundle("landscape_lite")
    top, left = -(args.size // 2), 0  # row 0, the horizon, in the middle
    picture = paint(bundle, args.seed, top, left, args.size)
    world = World(bundle.config.model, bundle.generator, seed=args.seed)
    same = world[top : top + args.size, left : left + args.size]
    # Arrays of other sizes are summed in another order, which can turn a rounding.
    difference = np.abs(picture.astype(int) - same)
    assert difference.max() <= 1, f"a value differs by {difference.max()}"
    print(
        f"World paints the same: {np.mean(difference == 0):.3%} of all values are "
        f"equal, and none differs by more than {difference.max()} of 255"
    )

    # What a closer look shows: each pixel becomes two by two, of which it is the mean.
    # (`World` paints what lies around the square, too; this mirrors it at its edges.)
    if bundle.detail is not None and args.size > bundle.detail.config.detail.margin:
        sizes, params = bundle.detail.config.detail, bundle.detail.params
        for octave in range(OCTAVES):
            coarse, noise = jnp.asarray(picture[None]), jax.random.key(octave)
            picture = np.asarray(detail.enlarged(sizes, params, coarse, noise)[0])
    Image.fromarray(picture).save(args.out, format="PNG")
    print(f"{args.out}: {len(picture)} x {len(picture)} pixels")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="from noise to a picture")
    parser.add_argument("--out", default="minimal.png", help="a PNG; it is replaced")
    parser.add_argument("--seed", type=int, default=7, help="which world")
    parser.add_argument("--size", type=int, default=64, help="pixels a side as painted")
    return parser


if __name__ == "__main__":
    main()
