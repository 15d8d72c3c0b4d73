"""Training of a generator: patches of latents at random places of the world."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from jaxtyping import Array, Float, Int, PRNGKeyArray

from infinitygan_jax import losses
from infinitygan_jax.config import Config
from infinitygan_jax.devices import AXIS
from infinitygan_jax.models.generator import (
    init_generator,
    make_generator,
    slot_styles,
)
from infinitygan_jax.models.layers import applied
from infinitygan_jax.training import augmentation, draws
from infinitygan_jax.training.task import Batch, Frozen, Labelled, Painted


@dataclasses.dataclass(frozen=True)
class GeneratorTask:
    """See `task.Task`.

    Attributes:
      config: all settings.
    """

    config: Config

    @property
    def input_size(self) -> int:
        return self.config.model.patch_size

    def init(self, key: PRNGKeyArray) -> Mapping[str, Any]:
        return init_generator(self.config.model, key)

    def real(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Labelled:
        image, label = batch["image"], batch["label"]
        return self._augmented(step, purpose, index, image, label, generated=False)

    def frozen_base(self) -> Mapping[str, Any] | None:
        return None

    def draw(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        batch: Batch,
        frozen: Frozen,
    ) -> draws.Samples:
        key = draws.step_key(self.config.train.seed, purpose, step)
        paired = self.config.train.diversity_weight > 0
        return draws.draw_samples(self.config, key, index, paired)

    def paint(
        self, params: Mapping[str, Any], samples: draws.Samples
    ) -> Float[Array, "b p p 3"]:
        structure, styles = structure_and_styles(self.config, params, samples)
        return paint(self.config, params, structure, samples.noise, styles)

    def learn(self, params: Mapping[str, Any], samples: draws.Samples) -> Painted:
        train = self.config.train
        structure, styles = structure_and_styles(self.config, params, samples)
        pictures = applied(
            make_generator(self.config.model),
            {"params": params},
            structure,
            styles,
            samples.noise,
            method="with_previews",
        )
        own = {}
        if train.diversity_weight:
            value = losses.diversity(
                train.diversity_form, structure, samples.z_local, AXIS
            )
            own["g_diversity"] = train.diversity_weight, value
        if self.config.model.previews:  # which move no other parameters
            own["g_previews"] = 1.0, losses.previews(pictures)
        return Painted(pictures[-1], own)

    def generated(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        image: Float[Array, "b p p 3"],
        label: Float[Array, " b"],
    ) -> Labelled:
        return self._augmented(step, purpose, index, image, label, generated=True)

    def _augmented(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        image: Float[Array, "b p p 3"],
        label: Float[Array, " b"],
        *,
        generated: bool,
    ) -> Labelled:
        key = draws.step_key(self.config.train.seed, purpose, step)
        changed = augmentation.augment(
            self.config, key, index, image, label, generated=generated
        )
        return Labelled(*changed, image)


def structure_and_styles(
    config: Config, params: Mapping[str, Any], samples: draws.Samples
) -> tuple[Float[Array, "b h w s"], Float[Array, "b n d"]]:
    """Structure latents of samples, and the styles that they mix."""
    apply = partial(applied, make_generator(config.model), {"params": params})
    structure = apply(
        samples.z_local, samples.coords, samples.z_global, method="structure"
    )
    style = apply(samples.z_global, method="mapping")
    mixed = apply(samples.z_mix, method="mapping")
    styles = slot_styles(style, config.model.num_slots, mixed, samples.mix_index)
    return structure, styles


def paint(
    config: Config,
    params: Mapping[str, Any],
    structure: Float[Array, "b h w s"],
    noise: list[Array],
    styles: Float[Array, "b n d"],
) -> Float[Array, "b p p 3"]:
    """Patches of structure latents, noise and styles."""
    generator = make_generator(config.model)
    return applied(
        generator, {"params": params}, structure, styles, noise, method="texture"
    )
