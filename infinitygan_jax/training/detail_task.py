"""Training of a detail synthesizer: photographs, reduced, to be enlarged again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from infinitygan_jax.config import Config
from infinitygan_jax.models.detail import DetailSynthesizer, init_detail
from infinitygan_jax.models.layers import applied, averaged, center_crop
from infinitygan_jax.training import augmentation, draws
from infinitygan_jax.training.task import Batch, Labelled, Painted


@flax.struct.dataclass
class Samples:
    """What a detail synthesizer paints from.

    Attributes:
      coarse: reduced windows, with the margin that it needs.
      noise: of their pixels.
      wanted: the photographs that they were reduced from, as large as what is painted.
      label: zeros; there are no vertical labels.
    """

    coarse: Float[Array, "b H W 3"]
    noise: Float[Array, "b H W n"]
    wanted: Float[Array, "b p p 3"]
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
        return Labelled(
            self._middle(self._coloured(step, purpose, index, batch)),
            jnp.zeros_like(batch["label"]),
        )

    def draw(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Samples:
        key = draws.step_key(self.config.train.seed, purpose, step)
        fine = self._coloured(step, purpose, index, batch)
        coarse = averaged(fine, 2)
        shape = (*coarse.shape[1:3], self.config.detail.noise_size)
        keys = draws.sample_keys(key, "own", index)
        (noise,) = draws.normals(keys, [shape])
        label = jnp.zeros_like(batch["label"])
        return Samples(coarse, noise, self._middle(fine), label)

    def paint(
        self, params: Mapping[str, Any], samples: Samples
    ) -> Float[Array, "b p p 3"]:
        network = DetailSynthesizer(self.config.detail)
        return applied(network, {"params": params}, samples.coarse, samples.noise)

    def learn(self, params: Mapping[str, Any], samples: Samples) -> Painted:
        image = self.paint(params, samples)
        own = {}
        weight = self.config.train.pixel_distance_weight
        if weight:
            distance = jnp.mean(jnp.abs(image - samples.wanted))
            own["g_pixel_distance"] = weight, distance
        return Painted(image, own, samples.wanted)

    def generated(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        image: Float[Array, "b p p 3"],
        label: Float[Array, " b"],
    ) -> Labelled:
        return Labelled(image, label)  # photographs were changed before

    def _coloured(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Float[Array, "b n n 3"]:
        """A batch's windows, augmented, in [-1, 1]."""
        key = draws.step_key(self.config.train.seed, purpose, step)
        image, _ = augmentation.augment(
            self.config, key, index, batch["image"], batch["label"], generated=False
        )
        return jnp.clip(image, -1, 1)

    def _middle(self, image: Float[Array, "b n n 3"]) -> Float[Array, "b p p 3"]:
        size = self.config.detail.patch_size
        return center_crop(image, size, size)
