"""Training of a detail synthesizer: photographs, reduced, to be enlarged again."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from infinitygan_jax.bundle import Bundle
from infinitygan_jax.config import Config
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.models.detail import DetailSynthesizer, init_detail
from infinitygan_jax.models.generator import with_noise_scale
from infinitygan_jax.models.layers import applied, averaged, center_crop
from infinitygan_jax.training import augmentation, draws
from infinitygan_jax.training.generator_task import paint, structure_and_styles
from infinitygan_jax.training.stored import load_bundle
from infinitygan_jax.training.task import Batch, Frozen, Labelled, Painted

_OF_BASE = 2**20  # folded into a step's key for what the base draws


@flax.struct.dataclass
class Samples:
    """What a detail synthesizer paints from.

    Attributes:
      coarse: reduced windows, with the margin that it needs; every second one, if there
        is a base, a window of a picture of it.
      noise: of their pixels.
      earlier: noise of the octaves that every second one is enlarged by before.
      wanted: the photographs that they were reduced from, as large as what is painted;
        of every second one, if nothing finer is known of the others.
      label: zeros; there are no vertical labels.
    """

    coarse: Float[Array, "b H W 3"]
    noise: Float[Array, "b H W n"]
    earlier: Float[Array, "k _ H W n"]
    wanted: Float[Array, "_ p p 3"]
    label: Float[Array, " b"]


@dataclasses.dataclass(frozen=True)
class DetailTask:
    """See `task.Task`.

    Attributes:
      config: all settings.
    """

    config: Config

    @property
    def input_size(self) -> int:
        return self.config.detail.window_size

    def init(self, key: PRNGKeyArray) -> Mapping[str, Any]:
        return init_detail(self.config.detail, key)

    def real(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Labelled:
        image = self._middle(self._coloured(step, purpose, index, batch))
        return Labelled(image, jnp.zeros_like(batch["label"]), image)

    def frozen_base(self) -> Mapping[str, Any] | None:
        if not self.config.train.base:
            return None
        bundle = _base(self.config.train.base)
        size, window = bundle.config.model.patch_size, self._coarse_size
        if size < window:
            raise UserError(
                f"train.base ({self.config.train.base}) must paint patches of at least "
                f"{window} pixels, and its are of {size}; name another, or set a "
                "smaller detail.patch_size"
            )
        scale = bundle.config.model.noise_scale
        return with_noise_scale(bundle.generator, scale)

    @property
    def _coarse_size(self) -> int:
        return self.input_size // 2

    def draw(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        batch: Batch,
        frozen: Frozen,
    ) -> Samples:
        key = draws.step_key(self.config.train.seed, purpose, step)
        fine = self._coloured(step, purpose, index, batch)
        coarse = averaged(fine, 2)
        wanted = self._middle(fine)
        if frozen.base is not None:
            # Pairs stay on one device, however many there are.
            windows = self._of_base(key, index[1::2], frozen.base)
            coarse = coarse.at[1::2].set(windows)
        octaves = self.config.train.octaves
        if frozen.base is not None or octaves > 1:
            wanted = wanted[::2]
        shape = (*coarse.shape[1:3], self.config.detail.noise_size)
        keys = draws.sample_keys(key, "own", index)
        noise, *earlier = draws.normals(keys, [shape] * octaves)
        label = jnp.zeros_like(batch["label"])
        few = [each[1::2] for each in earlier]
        before = jnp.stack(few) if few else jnp.zeros((0, len(index) // 2, *shape))
        return Samples(coarse, noise, before, wanted, label)

    def paint(
        self, params: Mapping[str, Any], samples: Samples
    ) -> Float[Array, "b p p 3"]:
        network = DetailSynthesizer(self.config.detail)
        coarse, side = samples.coarse, self._coarse_size
        for noise in samples.earlier:
            finer = applied(network, {"params": params}, coarse[1::2], noise)
            # The last octave learns; those before it have other samples to learn from.
            finer = jax.lax.stop_gradient(center_crop(finer, side, side))
            coarse = coarse.at[1::2].set(finer)
        return applied(network, {"params": params}, coarse, samples.noise)

    def learn(self, params: Mapping[str, Any], samples: Samples) -> Painted:
        image = self.paint(params, samples)
        known = slice(None, None, len(image) // len(samples.wanted))
        own = {}
        weight = self.config.train.pixel_distance_weight
        if weight:
            distance = jnp.mean(jnp.abs(image[known] - samples.wanted))
            own["g_pixel_distance"] = weight, distance
        return Painted(image, own, samples.wanted, known)

    def generated(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        image: Float[Array, "b p p 3"],
        label: Float[Array, " b"],
    ) -> Labelled:
        return Labelled(image, label, image)  # photographs were changed before

    def _coloured(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Float[Array, "b n n 3"]:
        """A batch's windows, augmented, in [-1, 1]."""
        key = draws.step_key(self.config.train.seed, purpose, step)
        image, _ = augmentation.augment(
            self.config, key, index, batch["image"], batch["label"], generated=False
        )
        return jnp.clip(image, -1, 1)

    def _of_base(
        self, key: PRNGKeyArray, index: Int[Array, " n"], params: Mapping[str, Any]
    ) -> Float[Array, "n w w 3"]:
        """Windows of pictures of the base, anywhere in its patches, as painted."""
        config = _base(self.config.train.base).config
        # No styles are mixed, as pictures mix none.
        train = dataclasses.replace(config.train, style_mixing=0.0)
        config = dataclasses.replace(config, train=train)
        own_key = jax.random.fold_in(key, _OF_BASE)
        samples = draws.draw_samples(config, own_key, index, paired=False)
        z_local = samples.z_local * config.model.truncation
        samples = dataclasses.replace(samples, z_local=z_local)
        structure, styles = structure_and_styles(config, params, samples)
        pictures = paint(config, params, structure, samples.noise, styles)
        size = self._coarse_size
        shape = (size, size, 3)

        def window(key: PRNGKeyArray, picture: Array) -> Array:
            room = config.model.patch_size - size + 1
            top, left = (draws.below(room, x) for x in jax.random.uniform(key, (2,)))
            return jax.lax.dynamic_slice(picture, (top, left, 0), shape)

        keys = draws.sample_keys(key, "base", index)
        windows = jax.vmap(window)(keys, jnp.clip(pictures, -1, 1))
        windows, _ = augmentation.augment(  # as photographs are
            self.config, key, index, windows, samples.label, generated=False
        )
        return jax.lax.stop_gradient(jnp.clip(windows, -1, 1))

    def _middle(self, image: Float[Array, "b n n 3"]) -> Float[Array, "b p p 3"]:
        size = self.config.detail.patch_size
        return center_crop(image, size, size)


def base_digest(config: Config) -> str:
    """Of the model that ``train.base`` names; empty where it names none.

    Raises:
      ValueError: there is none of this name, or it was altered.
    """
    return _base(config.train.base).digest if config.train.base else ""


@functools.lru_cache(maxsize=2)
def _base(name: str) -> Bundle:
    """The model of ``train.base``.

    Raises:
      ValueError: there is none of this name, or it was altered.
    """
    try:
        return load_bundle(os.path.expanduser(name))
    except (ValueError, OSError) as error:
        raise UserError(f"train.base: {one_line(error)}") from error
