"""Parts of a tiny model's inversion that several tests take."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import fields
from infinitygan_jax.inversion.place import Latents, Place, default_span
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.sampling.inputs import make_keys
from infinitygan_jax.sampling.looks import Looks
from infinitygan_jax.sampling.styles import Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

SIDE = 24  # six cells of 4 px
SEED = 5


@functools.lru_cache
def discriminator():
    """Random parameters; drawn by NumPy, as compiling initializers takes seconds."""
    shapes = jax.eval_shape(
        lambda key: discriminator_of(tiny.MODEL).init(key)[0], jax.random.key(0)
    )
    rng = np.random.default_rng(3)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.standard_normal(x.shape, np.float32)), shapes
    )


@functools.lru_cache
def params():
    """The tiny model with faint colours, of which none are clipped."""
    tree = jax.tree.map(np.asarray, tiny.params())
    for name, layer in tree["texture_synthesizer"].items():
        if name.startswith("rgb"):
            for part in ("kernel", "bias"):
                layer[part] = np.float32(0.1) * layer[part]
    return tree


@functools.lru_cache
def bundle():
    return bundle_lib.Bundle(tiny.CONFIG, params(), discriminator())


@functools.lru_cache
def world():
    return World(tiny.MODEL, params(), seed=SEED, tile_size=8)


@functools.lru_cache
def sample(left=0):
    """A square of the world around its horizon."""
    return world()[-SIDE // 2 : SIDE // 2, left : left + SIDE]


def true_latents(place):
    """A world's latents at a place, one sample, drawn as tiles draw them."""
    look = Looks(tiny.MODEL, params())[Seed(SEED)]
    keys = make_keys(tiny.MODEL, SEED)
    draw = jax.jit(fields.normal_field, static_argnums=3)

    def field(key, rows, cols, channels):
        words = (jnp.asarray(fields.words(s.start, s.size)) for s in (rows, cols))
        return draw(jnp.asarray(key), *words, channels)[None]

    rows, cols = place.rows, place.cols
    noise = [
        field(key, row, col, 1)[..., 0]
        for key, row, col in zip(keys.noise, rows.noise, cols.noise, strict=True)
    ]
    local = field(keys.latent, rows.latent, cols.latent, tiny.MODEL.z_local_size)
    style = (jnp.asarray(each)[None] for each in look)
    return Latents(*style, local, tuple(noise))


@functools.lru_cache
def true_inversion(top=-12, left=0, height=SIDE, width=SIDE):
    """What inverting a window of the world would find at best."""
    place = Place(top, left, height, width, tiny.MODEL.num_stages)
    parts = jax.tree.map(lambda x: np.asarray(x[0]), true_latents(place))
    image = world()[top : top + height, left : left + width]
    return Inversion(
        **parts._asdict(),
        image=image,
        mask=np.ones(image.shape[:2], bool),
        top=top,
        left=left,
        vertical_span=default_span(tiny.MODEL),
        digest=bundle().digest,
        model_name="tiny",
        figures={"psnr": 40.0},
    )
