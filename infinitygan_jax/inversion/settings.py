"""How pictures are inverted: numbers, their defaults, and what they may be."""

import dataclasses
from typing import Any

from infinitygan_jax.messages import UserError
from infinitygan_jax.settings import wrong_type


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pictures are inverted; the published values are those of ``PUBLISHED``.

    The published weights hardly let noise maps learn, without which a former bundled
    model stays near 20 dB (docs/inversion.md). Pixels weigh ten times as much here and
    autocorrelation a thousandth, and z_local is kept at the root mean square that the
    model's own pictures have, so that what is invented around a picture continues it.

    ``CONTINUED`` holds styles closer to those of the model, for outpainting.

    Attributes:
      steps: of Adam.
      learning_rate: of styles and noise.
      structure_rate: that of z_global and z_local, as a share of the above.
      ramp_up: share of the steps over which the rate rises linearly at the start.
      ramp_down: share over which it falls as a cosine at the end.
      pixel_weight: of half the mean squared error of colours of -1 to 1.
      perceptual_weight: of the perceptual distance; 0 needs no network for it.
      autocorrelation_weight: of the noise maps' autocorrelation over a pyramid.
      z_global_weight: of the absolute mean of z_global.
      z_local_weight: of the distance of z_local's root mean square from ...
      z_local_rms: ... this. It, rates, perturbations and the autocorrelation are of
        z_local as it would have been drawn, before the model's truncation.
      z_local_autocorrelation_weight: of z_local's autocorrelation over a pyramid, the
        mean of its channels.
      margin: cells around the picture's up to which z_local is searched; 15 are all
        that its pixels see.
      mahalanobis_weight: of the styles' Mahalanobis distance in Gaussianized space.
      style_perturbation: random steps of the styles at the start, in their spread.
      structure_perturbation: likewise of z_global and z_local, absolutely.
      perturbation_end: share of the steps after which there are none.
      color: strength of the random change of colours of both pictures, 0 to 1.
      translation: both pictures move by up to this share of their sides, 0 to 1.
      style_samples: random styles of which the statistics are made.
      seed: of all random draws, 0 to 2**64 - 1.
    """

    steps: int = 400
    learning_rate: float = 0.1
    structure_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    pixel_weight: float = 100.0
    perceptual_weight: float = 10.0
    autocorrelation_weight: float = 1.0
    z_global_weight: float = 10.0
    z_local_weight: float = 10.0
    z_local_rms: float = 1.0
    z_local_autocorrelation_weight: float = 0.0
    margin: int = 15
    mahalanobis_weight: float = 0.01
    style_perturbation: float = 0.05
    structure_perturbation: float = 0.2
    perturbation_end: float = 0.75
    color: float = 1.0
    translation: float = 0.125
    style_samples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_setting(field, getattr(self, field.name))


# What a setting may be, where that is not 0 to ``_MOST``, beyond which sums and their
# squares are no float32 any more.
_MOST = 10**6
_RANGES = {
    "steps": (1, _MOST),
    "style_samples": (2, _MOST),
    "margin": (0, _MOST),
    "seed": (0, 2**64 - 1),
    "learning_rate": (0, 10),
    **dict.fromkeys(("structure_rate", "z_local_rms"), (0, 1000)),
    **dict.fromkeys(("style_perturbation", "structure_perturbation"), (0, 1000)),
    **dict.fromkeys(("ramp_up", "ramp_down", "perturbation_end"), (0, 1)),
    **dict.fromkeys(("color", "translation"), (0, 1)),
}
_ABOVE_0 = ("learning_rate", "ramp_up", "ramp_down", "perturbation_end")


def _check_setting(field: dataclasses.Field[Any], value: Any) -> None:
    name = field.name
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(wrong_type(name, value, field.type))
    if field.type is int and not isinstance(value, int):
        raise UserError(wrong_type(name, value, int))
    least, most = _RANGES.get(name, (0, _MOST))
    positive = name in _ABOVE_0
    # Nearly 0 is 0 in float32, and then a divisor.
    if not least <= value <= most or (positive and value < 1e-9):
        low = "above 0" if positive else f"at least {least}"
        raise UserError(
            f"{name} ({value}) must be {low} and at most {most}; the default is "
            f"{field.default}"
        )


# For pictures that are continued: styles stay among those that the model draws, noise
# keeps out of the picture, and local latents stay white and, some cells away, as drawn,
# so that all do for what is invented around it.
CONTINUED = Settings(
    structure_rate=1.0,
    pixel_weight=30.0,
    autocorrelation_weight=100.0,
    z_local_autocorrelation_weight=10.0,
    margin=6,
    mahalanobis_weight=1.0,
)
PUBLISHED = Settings(
    steps=3000,
    pixel_weight=10.0,
    autocorrelation_weight=1000.0,
    z_local_rms=0.0,
)
