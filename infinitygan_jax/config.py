"""The settings of a trained model: typed, frozen, and checked when they are made."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import ml_collections

from infinitygan_jax import geometry, settings
from infinitygan_jax.messages import UserError

DEFAULT_MODEL = "landscape_lite"  # bundled; painted where no checkpoint is named

# What a model's settings say of painting alone: shares of what training has.
PAINTING = ("truncation", "noise_scale")

LEAST_FEATURE_SIZE = 32  # pixels a side that the frozen networks see

DISCRIMINATORS = ("stylegan2", "projected")
NETWORKS = ("generator", "detail")
OBJECTIVES = ("non_saturating", "hinge", "least_squares")

# Changes of the discriminator's inputs, in the order in which they are made.
AUGMENTATIONS = ("color", "translation", "cutout")


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a discriminator, and of what it judges (docs/model.md, section 6).

    Attributes:
      patch_size: pixels a side of a patch.
      discriminator: "stylegan2", the paper's; or "projected", which sees features of a
        frozen network (`models.projected_discriminator`) and learns from far fewer
        pictures.
      discriminator_widths: of "stylegan2": channels at size 4, 8, 16, ... in this
        order. (The reference's list ends at 1024; 2048, for patches of 1541, halves
        once more.)
      feature_size: of "projected": pixels a side at which the frozen network sees a
        patch; 0 for the patch's own size.
      feature_blur: of "projected": standard deviation in pixels of a Gaussian blur of
        what the frozen network sees, so that it judges forms and leaves fine texture
        to the head on pixels; 0 for none.
      head_width: of "projected": channels of the heads on features.
      pixel_widths: of "projected": channels of the head on pixels, by layer, each but
        the first of half the size; none for no such head.
      layout_widths: of "projected": channels, likewise, of a head on the patch reduced
        to a fourth, which judges where its colours lie; none for no such head.
      stddev_group: of "stylegan2": consecutive samples that share a minibatch standard
        deviation; 0 for the whole batch.
      dtype: computing type, "float32" or "bfloat16"; parameters stay float32.
    """

    patch_size: int = 101
    discriminator: str = "stylegan2"
    discriminator_widths: tuple[int, ...] = (512,) * 5 + (256, 128, 64, 32, 16)
    feature_size: int = 128
    feature_blur: float = 0.0
    head_width: int = 128
    pixel_widths: tuple[int, ...] = (48, 96, 128)
    layout_widths: tuple[int, ...] = ()
    stddev_group: int = 16
    dtype: str = "float32"

    group: ClassVar[str] = "model"  # of settings, which messages name
    zero: ClassVar[tuple[str, ...]] = ("stddev_group", "feature_size", "feature_blur")

    @property
    def seen_size(self) -> int:
        """Pixels a side at which a discriminator's frozen network sees a patch."""
        return self.feature_size or self.patch_size

    @property
    def discriminator_log2_size(self) -> int:
        return round(math.log2(self.patch_size))

    def __post_init__(self) -> None:
        group = self.group
        settings.check_positive(self, group, zero=self.zero)
        settings.check_choice(
            f"{group}.discriminator", self.discriminator, DISCRIMINATORS
        )
        settings.check_choice(f"{group}.dtype", self.dtype, ("float32", "bfloat16"))
        if self.discriminator == "projected":
            self._check_projected()
        settings.check_length(
            f"{group}.discriminator_widths",
            self.discriminator_widths,
            self.discriminator_log2_size - 1,
        )

    def _check_projected(self) -> None:
        group = self.group
        if self.seen_size < LEAST_FEATURE_SIZE:
            raise UserError(
                f"{group}.feature_size ({self.feature_size}) must be "
                f"{LEAST_FEATURE_SIZE} or more, or 0 for the size of patches, which is "
                f"{self.patch_size}; use 128"
            )
        if self.feature_blur > self.patch_size / 8:
            raise UserError(
                f"{group}.feature_blur ({self.feature_blur}) must be at most an eighth "
                f"of {group}.patch_size ({self.patch_size}), as no forms are left to "
                "judge; use 1.0"
            )
        # Each layer but the first halves what it sees, which is reduced before.
        most = int(math.log2(self.patch_size))
        for name, least in (("pixel_widths", 0), ("layout_widths", 1)):
            widths = getattr(self, name)
            if len(widths) > most - least:
                raise UserError(
                    f"{group}.{name} ({', '.join(map(str, widths))}) has {len(widths)} "
                    f"entries, and patches of {self.patch_size} pixels leave room for "
                    f"{most - least}; remove some"
                )


@dataclasses.dataclass(frozen=True)
class ModelConfig(DiscriminatorConfig):
    """Sizes of generator and discriminator (docs/model.md, sections 1 and 6).

    Attributes:
      patch_size: pixels a side of a training patch, 5 + 6 * 2**k for k stages.
      z_global_size: channels of the global latent, and of the styles.
      z_local_size: channels of the local latents.
      structure_width: channels out of the structure synthesizer.
      texture_widths: channels by stage; the first k entries are used.
      mapping_layers: dense layers of the mapping network.
      previews: whether each stage of the texture synthesizer but the last has colours
        of its own that learn to show the whole picture, for quick levels.
      coords: "landscape" (tanh down, periodic across) or "plane" (periodic both ways).
      vertical_starts: of a landscape: rows, a cell apart, in which a patch can begin in
        training. The paper's 10 spread photographs over more rows than they have;
        1 + (full_size - patch_size) / cell_size keep their number.
      truncation: local latents are multiplied by this, 0 to 1, in painting, not in
        training: below 1, forms are plainer and clearer.
      noise_scale: noise is multiplied by this, 0 to 1, in painting, not in training:
        below 1, there is less grain.
    """

    z_global_size: int = 512
    z_local_size: int = 256
    structure_width: int = 256
    texture_widths: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32)
    mapping_layers: int = 8
    previews: bool = False
    coords: str = "landscape"
    vertical_starts: int = 10
    truncation: float = 1.0
    noise_scale: float = 1.0

    zero: ClassVar[tuple[str, ...]] = (*DiscriminatorConfig.zero, *PAINTING)

    @property
    def num_stages(self) -> int:
        return geometry.num_stages_of(self.patch_size)

    @property
    def num_slots(self) -> int:
        """Style slots: one per texture convolution and one more.

        docs/model.md, section 4.4.
        """
        return 2 * self.num_stages + 1

    @property
    def num_coords(self) -> int:
        return 4 if self.coords == "plane" else 3

    @property
    def cell_size(self) -> int:
        """Pixels that one structure cell spans."""
        return 2**self.num_stages

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in PAINTING:
            check_painting(f"model.{name}", getattr(self, name))
        settings.check_choice("model.coords", self.coords, ("landscape", "plane"))
        if self.vertical_starts < 2:
            raise UserError(
                f"model.vertical_starts ({self.vertical_starts}) must be 2 or more, as "
                "rows tell up from down; use 10"
            )
        settings.check_length(
            "model.texture_widths", self.texture_widths, self.num_stages
        )


@dataclasses.dataclass(frozen=True)
class DetailConfig(DiscriminatorConfig):
    """Sizes of detail synthesizer and discriminator (docs/model.md, section 11).

    Attributes:
      patch_size: pixels a side of what it paints in training; even.
      width: channels at the size of what it is given.
      num_blocks: residual blocks of two convolutions.
      fine_width: channels at twice that size.
      noise_size: channels of noise for each pixel that it is given; the first four are
        of the four pixels that come of it.
    """

    patch_size: int = 64
    discriminator: str = "projected"
    width: int = 40
    num_blocks: int = 3
    fine_width: int = 16
    noise_size: int = 8

    group: ClassVar[str] = "detail"

    @property
    def margin(self) -> int:
        """Pixels to each side that it has to be given beside those that it enlarges."""
        # First and last convolution, blocks, and two convolutions at twice the size.
        return 3 + 2 * self.num_blocks

    @property
    def window_size(self) -> int:
        """Pixels a side, of the finer size, of the windows that it learns from."""
        return self.patch_size + 4 * self.margin

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size % 2:
            raise UserError(
                f"detail.patch_size ({self.patch_size}) must be even, as a pixel "
                f"becomes two by two; use {self.patch_size + 1}"
            )
        if self.noise_size < 4:
            raise UserError(
                f"detail.noise_size ({self.noise_size}) must be at least 4, one for "
                "each pixel that is painted; use 4 or more"
            )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where training pictures come from, and how they are cut.

    docs/model.md, section 8.

    Attributes:
      source: a folder or .zip archive of images, a slice of one (``FOLDER[:-100]`` or
        other bounds), ``tfds:NAME``, or ``generated:N`` pictures.
      full_size: pixels a side of the training image that patches are cut from.
      least_size: for detail synthesizers: each training image has a size of its own,
        drawn from this to ``full_size``, each octave equally often; 0 for all of
        ``full_size``.
      pre_size: pixels a side of an earlier reduction; 0 for none. (The reference
        reduces to 128 and enlarges to 197, to match the view of 128 px baselines.)
      flip: mirror half of the samples left to right.
      num_threads: reading threads per process.
    """

    source: str = ""
    full_size: int = 197
    least_size: int = 0
    pre_size: int = 128
    flip: bool = True
    num_threads: int = 4

    def __post_init__(self) -> None:
        settings.check_positive(self, "data", zero=("pre_size", "least_size"))
        if self.least_size > self.full_size:
            raise UserError(
                f"data.least_size ({self.least_size}) must be at most data.full_size "
                f"({self.full_size}); use {self.full_size} or less"
            )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Objective, optimizers and the loop's periods (docs/model.md, section 7).

    Attributes:
      network: which network is trained: "generator", or "detail" for the synthesizer
        that enlarges what generators paint.
      batch_size: samples a step over all devices; even.
      num_steps: steps in all; one step updates D and G.
      seed: of the parameters, data order and all draws.
      objective: "non_saturating", the paper's, or "hinge" or "least_squares", which
        suit a projected discriminator.
      shared_samples: D judges the patches that G was just trained with, painted before
        its update and changed by ``augment`` once for both, so that none are painted
        for D alone nor seen by its network twice: a fifth of the work less, or more.
        (The reference draws others.)
      learning_rate: of G's Adam, before the lazy-regularization correction.
      d_learning_rate: of D's; 0 for the same.
      constant_steps: after so many steps both fall, with the square root of this over
        the steps done; 0 for never.
      pixel_weight: what the head on pixels of a projected discriminator weighs in G's
        loss, where each head on features weighs 1.
      layout_weight: likewise of the head on layout, if there is one.
      pixel_distance_weight: of a detail synthesizer: what the mean absolute difference
        to the photograph that was reduced weighs in its loss.
      feature_distance_weight: likewise, of the mean absolute difference of what the
        frozen network of a projected discriminator sees.
      distance_weight: what the energy distance between generated patches and
        photographs weighs in G's loss: of what the frozen network sees in a patch, and
        of the colours of its parts, rows and columns (docs/model.md, section 7.6);
        only with a projected discriminator. 0 for none.
      distance_rampup: the distance's weight grows evenly from 0 over so many steps; 0
        for all of it at once.
      r1_weight, r1_every: R1 penalty and its period in steps; 0 weight switches it off.
        With a projected discriminator the gradient is by the features that its heads
        see, and does not go through its network to the pixels.
      path_weight, path_every, path_decay: path length penalty, its period in steps, and
        the rate of its running mean.
      path_batch_shrink: the path step uses batch_size / this.
      path_mean_gradient: let the gradient flow through the new running mean, as the
        reference does.
      coords_weight: vertical coordinate loss of D and G; 0 switches it off.
      diversity_weight: mode seeking loss of sample pairs; 0 switches it off.
      diversity_form: "l1" (the paper's), "angular_distance", or
        "released_angular_similarity" (the public code's; pulls pairs together).
      style_mixing: probability of a second global latent in a batch.
      ema_half_life: sets the decay of G's moving average per step, whatever the
        batch: 0.5**(32 / this), as in the reference; half is forgotten after this / 32
        steps.
      ema_rampup: the half-life is at most this share of the steps done, so that the
        average soon leaves the first weights behind; 0, as in the reference, does not
        limit it.
      augment: any of "color" (brightness, saturation and contrast), "translation" (by
        up to 1/8 of the side) and "cutout" (a square of half the side): the same
        random changes of D's real and generated inputs, for small data sets. Of a
        detail synthesizer: "color" or none, of the photographs before all else.
      initial: a trained model whose weights are the first ones: a ``.safetensors``
        file, a workdir or a bundled model's name; empty for random ones.
      base: of a detail synthesizer: a trained generator, as for ``initial``. Every
        second sample then enlarges a picture of it, of which nothing finer is known;
        empty for photographs alone.
      octaves: of a detail synthesizer: every second sample is enlarged by so many
        octaves, each painted from what it has painted itself, and learns from the last.
      in_a_hurry: compile the steps without optimizing them, on a CPU: for trials of so
        few steps that compiling takes longer.
      log_every, sheet_every, save_every: periods in steps; 0 switches sheets off.
      keep_every: checkpoints of these steps are kept beside the newest two, a multiple
        of ``save_every``; 0 for none.
    """

    network: str = "generator"
    batch_size: int = 16
    num_steps: int = 800_000
    seed: int = 0
    objective: str = "non_saturating"
    shared_samples: bool = False
    learning_rate: float = 0.002
    d_learning_rate: float = 0.0
    constant_steps: int = 0
    pixel_weight: float = 1.0
    layout_weight: float = 1.0
    pixel_distance_weight: float = 0.0
    feature_distance_weight: float = 0.0
    distance_weight: float = 0.0
    distance_rampup: int = 0
    r1_weight: float = 10.0
    r1_every: int = 16
    path_weight: float = 2.0
    path_every: int = 4
    path_decay: float = 0.01
    path_batch_shrink: int = 2
    path_mean_gradient: bool = True
    coords_weight: float = 1.0
    diversity_weight: float = 1.0
    diversity_form: str = "l1"
    style_mixing: float = 0.9
    ema_half_life: float = 10_000.0
    ema_rampup: float = 0.0
    augment: tuple[str, ...] = ()
    initial: str = ""
    base: str = ""
    octaves: int = 1
    in_a_hurry: bool = False
    log_every: int = 50
    sheet_every: int = 5_000
    save_every: int = 5_000
    keep_every: int = 0

    def __post_init__(self) -> None:
        zero = ["seed", "r1_weight", "path_weight", "coords_weight", "sheet_every"]
        zero += ["diversity_weight", "style_mixing", "num_steps", "ema_rampup"]
        zero += ["d_learning_rate", "constant_steps", "distance_weight"]
        zero += ["distance_rampup", "keep_every", "pixel_distance_weight"]
        zero += ["feature_distance_weight"]
        settings.check_positive(self, "train", zero=zero)
        settings.check_choice("train.network", self.network, NETWORKS)
        if self.batch_size % 2:
            raise UserError(
                f"train.batch_size ({self.batch_size}) must be even, as samples form "
                f"pairs; use {self.batch_size + 1}"
            )
        if self.seed >= 2**64:
            raise UserError(
                f"train.seed ({self.seed}) must be below 2**64; use {self.seed % 2**64}"
            )
        if self.style_mixing > 1:
            raise UserError(
                f"train.style_mixing ({self.style_mixing}) is a probability; "
                "use 0.0 to 1.0"
            )
        if self.keep_every % self.save_every:
            raise UserError(
                f"train.keep_every ({self.keep_every}) must be a multiple of "
                f"train.save_every ({self.save_every}), as others are not saved; use "
                f"{-(-self.keep_every // self.save_every) * self.save_every}"
            )
        pairs = self.batch_size // 2
        if self.batch_size % self.path_batch_shrink:
            raise UserError(
                f"train.path_batch_shrink ({self.path_batch_shrink}) must divide "
                f"train.batch_size ({self.batch_size}); use {math.gcd(2, pairs) or 1}"
            )
        settings.check_choice(
            "train.diversity_form",
            self.diversity_form,
            ("l1", "angular_distance", "released_angular_similarity"),
        )
        settings.check_choice("train.objective", self.objective, OBJECTIVES)
        for number, name in enumerate(self.augment):
            settings.check_choice("train.augment", name, AUGMENTATIONS)
            if name in self.augment[:number]:
                raise UserError(
                    f"train.augment ({', '.join(self.augment)}) must name each change "
                    f"once; remove one {name}"
                )


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one trained network.

    Attributes:
      name: what messages and exported files call it.
      model: sizes of the generator and of what it is trained against.
      detail: likewise of the detail synthesizer; of use where ``train.network`` is it.
      data: what it learns from.
      train: how.
    """

    name: str = "landscape"
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    detail: DetailConfig = dataclasses.field(default_factory=DetailConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    @property
    def judged(self) -> DiscriminatorConfig:
        """Sizes of what is trained against each other: ``model`` or ``detail``."""
        return self.detail if self.train.network == "detail" else self.model

    def __post_init__(self) -> None:
        judged = self.judged
        for name in ("distance_weight", "feature_distance_weight"):
            value = getattr(self.train, name)
            if value and judged.discriminator != "projected":
                raise UserError(
                    f"train.{name} ({value}) must be 0 with {judged.group}."
                    f"discriminator {judged.discriminator}, which has no frozen "
                    f"network; use 0.0, or {judged.group}.discriminator projected"
                )
        if self.train.network == "detail":
            self._check_detail()
            return
        full, patch = self.data.full_size, self.model.patch_size
        if self.model.coords == "plane" and self.train.coords_weight:
            raise UserError(
                f"train.coords_weight ({self.train.coords_weight}) must be 0 with "
                "model.coords plane, which has no vertical; set `train.coords_weight`=0"
            )
        if full < patch:
            raise UserError(
                f"data.full_size ({full}) must be at least model.patch_size ({patch}); "
                f"use {patch} or more"
            )
        if self.train.base:
            raise UserError(
                f"train.base ({self.train.base}) must be empty where a generator is "
                "trained; leave it out"
            )
        if self.data.least_size:
            raise UserError(
                f"data.least_size ({self.data.least_size}) must be 0 where a generator "
                "is trained, whose patches are of one size; use 0"
            )
        if self.train.octaves != 1:
            raise UserError(
                f"train.octaves ({self.train.octaves}) must be 1 where a generator is "
                "trained, which enlarges nothing; use 1"
            )
        for name in ("pixel_distance_weight", "feature_distance_weight"):
            if getattr(self.train, name):
                raise UserError(
                    f"train.{name} ({getattr(self.train, name)}) must be 0 where a "
                    "generator is trained, which has no picture to be near to; use 0.0"
                )

    def _check_detail(self) -> None:
        """Checks that nothing is asked for that only generators have."""
        train = self.train
        for name in (
            "path_weight",
            "coords_weight",
            "diversity_weight",
            "style_mixing",
        ):
            if getattr(train, name):
                raise UserError(
                    f"train.{name} ({getattr(train, name)}) must be 0 with "
                    "train.network detail, which has no latents; use 0.0"
                )
        others = [name for name in train.augment if name != "color"]
        if others:
            raise UserError(
                f"train.augment ({', '.join(train.augment)}) must be color alone with "
                f"train.network detail; remove {', '.join(others)}"
            )
        if train.octaves > 1 and self.detail.patch_size < 4 * self.detail.margin:
            raise UserError(
                f"detail.patch_size ({self.detail.patch_size}) must be at least "
                f"{4 * self.detail.margin} with train.octaves {train.octaves}, as a "
                f"patch is painted from another; use {4 * self.detail.margin} or more"
            )
        name, size, least = "full_size", self.data.full_size, self.detail.window_size
        if self.data.least_size:  # what is missing of the margin is mirrored
            name, size = "least_size", self.data.least_size
            least = self.detail.patch_size
        if size < least:
            raise UserError(
                f"data.{name} ({size}) must be at least {least}, which a detail "
                f"synthesizer of these sizes sees; use {least} or more"
            )


def to_config_dict(config: Config) -> ml_collections.ConfigDict:
    """ConfigDict for a file under ``configs/``; typed, so overrides keep types."""
    return ml_collections.ConfigDict(settings.to_dict(config))


def from_mapping(mapping: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """Settings from nested mappings (a ConfigDict or JSON); absent ones are defaults.

    Raises:
      ValueError: an unknown name (the nearest is named), a wrong type, or a value that
        breaks a rule.
    """
    return settings.build(Config, mapping)


def check_painting(name: str, value: float) -> None:
    """Checks a setting of painting, `PAINTING`.

    Raises:
      ValueError: it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise UserError(
            f"{name} ({value}) must be from 0 to 1; 1 is as in training, and less is "
            "plainer"
        )
