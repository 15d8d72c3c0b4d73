"""StyleGAN2's discriminator: sizes, and groups of the minibatch standard deviation."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from infinitygan_jax.config import ModelConfig
from infinitygan_jax.devices import make_mesh
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.models.residual_discriminator import ResidualDiscriminator

MODEL = ModelConfig(
    patch_size=17, discriminator_widths=(8, 6, 4), stddev_group=4, texture_widths=(4,)
)


@pytest.mark.parametrize(
    ("patch", "widest"),
    {53: 512, 101: 256, 197: 128, 389: 64, 773: 32, 1541: 16}.items(),
)
def test_full_size_judges_a_patch(patch, widest):
    config = ModelConfig(patch_size=patch)
    params = jax.eval_shape(
        lambda key: discriminator_of(config).init(key)[0], jax.random.key(0)
    )
    image = jax.ShapeDtypeStruct((16, patch, patch, 3), jnp.float32)
    logits, place = jax.eval_shape(
        lambda p, x: ResidualDiscriminator(config).apply({"params": p}, x),
        params,
        image,
    )
    assert (logits.shape, place.shape) == ((16,), (16, 3))
    # docs/model.md, section 6.1: channels of the first size, n = round(log2(patch)).
    assert params["from_rgb"]["kernel"].shape == (1, 1, 3, widest)
    assert params["final_conv"]["kernel"].shape == (3, 3, 513, 512)


@pytest.fixture(scope="module")
def params():
    tree, _ = discriminator_of(MODEL).init(jax.random.key(1))
    # The spread's channel must show.
    kernel = tree["final_conv"]["kernel"]
    tree["final_conv"]["kernel"] = kernel.at[:, :, -1].multiply(30.0)
    return tree


def images(count):
    return jax.random.normal(jax.random.key(2), (count, 17, 17, 3))


def test_groups_are_consecutive_samples(params):
    judge = jax.jit(ResidualDiscriminator(MODEL).apply)
    eight = images(8)
    both = judge({"params": params}, eight)[0]
    np.testing.assert_allclose(
        both[:4], judge({"params": params}, eight[:4])[0], rtol=1e-4
    )
    np.testing.assert_allclose(
        both[4:], judge({"params": params}, eight[4:])[0], rtol=1e-4
    )
    # A sample's group matters; another group's samples do not.
    moved = judge({"params": params}, eight.at[7].multiply(2.0))[0]
    np.testing.assert_allclose(moved[:4], both[:4], rtol=1e-4)
    assert np.abs(moved[4:7] - both[4:7]).min() > 1e-5


@pytest.mark.parametrize("group", [2, 4, 16])
@pytest.mark.parametrize("devices", [2, 8])
def test_groups_reach_over_devices(params, group, devices):
    config = dataclasses.replace(MODEL, stddev_group=group)
    batch = images(16)
    whole = ResidualDiscriminator(config).apply({"params": params}, batch)[0]
    split = jax.shard_map(
        partial(
            ResidualDiscriminator(config, axis_name="data").apply, {"params": params}
        ),
        mesh=make_mesh(jax.devices()[:devices]),
        in_specs=P("data"),
        out_specs=P("data"),
        check_vma=False,
    )
    np.testing.assert_allclose(jax.jit(split)(batch)[0], whole, rtol=1e-4, atol=1e-5)
