"""A tiny model with every kind of layer, and parameters in which everything shows."""

import functools

import jax
import numpy as np

from infinitygan_jax import config as config_lib
from infinitygan_jax.models.generator import init_generator
from infinitygan_jax.sampling.painter import Painter

MODEL = config_lib.ModelConfig(
    patch_size=29,  # two stages: a cell is 4 px
    z_global_size=6,
    z_local_size=4,
    structure_width=8,
    texture_widths=(8, 6),
    mapping_layers=2,
    discriminator_widths=(8, 8, 8, 8),
)
CONFIG = config_lib.Config(
    name="tiny",
    model=MODEL,
    data=config_lib.DataConfig(full_size=33, pre_size=0),
)


@functools.lru_cache
def params(seed=0):
    """Random parameters; biases and noise strengths, which start at 0, included.

    Drawn by NumPy: compiling the initializers would take most of a test's time.
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: init_generator(MODEL, key), jax.random.key(0))

    def draw(path, leaf):
        names = [entry.key for entry in path]
        values = rng.standard_normal(leaf.shape).astype(np.float32)
        if names[-1] == "kernel":
            return values * (100 if "mapping_network" in names else 1)
        return 0.3 * values + (1 if "modulation" in names else 0)

    tree = jax.tree_util.tree_map_with_path(draw, shapes)
    return jax.tree.map(np.float32, tree)


def count_painted(monkeypatch):
    """All tiles that are painted from now on, fillers too."""
    painted = []
    colours = Painter._colours

    def counted(painter, wanted):
        painted.extend(wanted)
        return colours(painter, wanted)

    monkeypatch.setattr(Painter, "_colours", counted)
    return painted
