"""The detail synthesizer of landscapes: what a closer look shows, octave after octave.

It learns to enlarge photographs that were reduced by any factor from 1.2 to 4, so that
it may be applied to what it has painted. The bundled one took about an hour of two
cores (docs/model_card.md).
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, DetailConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape_detail",
        detail=DetailConfig(),
        # Below the photographs' own 256 px: blocks of JPEG are then of any size and
        # place, so that they are not learned.
        data=DataConfig(full_size=208, least_size=64, pre_size=0),
        train=TrainConfig(
            network="detail",
            batch_size=16,
            objective="hinge",
            shared_samples=True,
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
