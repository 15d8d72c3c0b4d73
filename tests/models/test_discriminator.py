"""What holds for every kind of discriminator."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from infinitygan_jax.config import DISCRIMINATORS, ModelConfig
from infinitygan_jax.models.discriminator import Discriminator
from infinitygan_jax.models.discriminators import KINDS, discriminator_of
from tests.models import traces

MODEL = ModelConfig(patch_size=53, texture_widths=(4, 4, 4))
MODELS = {
    "stylegan2": dataclasses.replace(
        MODEL, discriminator_widths=(8, 7, 6, 5, 4, 3), stddev_group=2
    ),
    "projected": dataclasses.replace(
        MODEL, discriminator="projected", head_width=6, pixel_widths=(4, 5, 7)
    ),
    "projected, with a head on layout": dataclasses.replace(
        MODEL,
        discriminator="projected",
        head_width=6,
        pixel_widths=(4,),
        layout_widths=(5, 3),
    ),
    "projected, patches as they are": dataclasses.replace(
        MODEL, discriminator="projected", feature_size=0, pixel_widths=()
    ),
}


@pytest.fixture(autouse=True)
def one_convolution_a_layer(monkeypatch):
    """As it is off the CPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def parts(config):
    return jax.eval_shape(
        lambda key: discriminator_of(config).init(key), jax.random.key(0)
    )


def patches(number):
    return jax.ShapeDtypeStruct((number, 53, 53, 3), jnp.float32)


def output_of(config):
    network = discriminator_of(config).network()
    return jax.eval_shape(
        lambda *args: discriminator_of(config).judge(*args[:2], network, args[2]),
        *parts(config),
        patches(2),
    )


def test_there_is_one_of_each_name():
    assert tuple(KINDS) == DISCRIMINATORS
    for config in MODELS.values():
        assert isinstance(discriminator_of(config), Discriminator)


def test_one_without_state_goes_on_without():
    params, state = parts(MODELS["stylegan2"])
    assert state == {}
    assert discriminator_of(MODELS["stylegan2"]).refreshed(params, state) == {}


@pytest.mark.parametrize("name", MODELS)
def test_heads_on_pixels_and_layout_are_weighed(name):
    config = MODELS[name]
    logits = output_of(config).logits
    expected = [1.0] * len(logits)
    if config.discriminator == "projected" and config.pixel_widths:
        expected[4] = 7.0  # heads on features come first
    if config.layout_widths:
        expected[5] = 8.0
        assert logits[5].shape == (2, 3 * 3)  # of 13 pixels a side, then 6
    assert discriminator_of(config).head_weights(7.0, 8.0) == tuple(expected)


@pytest.mark.parametrize("name", MODELS)
def test_operations_are_those_of_a_trace(name, monkeypatch):
    config = MODELS[name]
    # Its products are few, and are not counted.
    monkeypatch.setattr(jax.image, "resize", lambda x, shape, _: jnp.zeros(shape))
    network = discriminator_of(config).network()

    def counted(batch):
        jaxpr = jax.make_jaxpr(
            lambda params, state, image: discriminator_of(config).judge(
                params, state, network, image
            )
        )(*parts(config), patches(batch))
        return 2 * sum(size * each for size, each in traces.products(jaxpr.jaxpr))

    # What is done once a batch, such as spectral norm, is not counted.
    found = discriminator_of(config)
    told = found.operations() + found.network_operations()
    assert (counted(4) - counted(2)) / 2 == told
