"""The model that comes with the package, as it is in this tree."""

import pathlib

import jax
import numpy as np

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.config import DEFAULT_MODEL
from infinitygan_jax.sampling.world import check_params

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def test_the_bundled_model_is_whole_small_and_described():
    path = bundle_lib.bundled(DEFAULT_MODEL)
    assert path.stat().st_size < 10e6
    bundle = bundle_lib.load(path)
    check_params(bundle.config.model, bundle.generator)
    for array in jax.tree.leaves((bundle.generator, bundle.discriminator)):
        assert np.all(np.isfinite(array))
    assert bundle.discriminator is not None
    for key in ("step", "data", "time", "machine", "command", "use"):
        assert bundle.info[key]
    assert bundle.config.data.source == ""  # nobody's folder
    page = (DOCS / "model_card.md").read_text("utf-8")
    assert bundle.digest in page
    for label in ("samples", "wide", "window"):
        assert (DOCS / "images" / f"{DEFAULT_MODEL}-{label}.jpg").is_file()
