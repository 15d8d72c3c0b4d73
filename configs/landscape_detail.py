"""The detail synthesizer of landscapes: what a closer look shows, octave after octave.

It learns to enlarge photographs of all sizes up to 256 px, and to go on from what it
has painted itself. The bundled one took some three hours of two cores
(docs/model_card.md).
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, DetailConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape_detail",
        detail=DetailConfig(),
        # Of all sizes up to the photographs' own: blocks of JPEG are then of any size
        # and place, so that they are not learned.
        data=DataConfig(full_size=256, least_size=64, pre_size=0),
        train=TrainConfig(
            network="detail",
            batch_size=16,
            objective="hinge",
            shared_samples=True,
            octaves=2,
            pixel_weight=15.0,
            pixel_distance_weight=50.0,
            feature_distance_weight=20.0,
            learning_rate=6e-3,
            d_learning_rate=4e-4,
            constant_steps=4_000,
            r1_weight=0.0,
            path_weight=0.0,
            coords_weight=0.0,
            diversity_weight=0.0,
            style_mixing=0.0,
            ema_rampup=0.05,
        ),
    )
    return variant_of(config, arg)
