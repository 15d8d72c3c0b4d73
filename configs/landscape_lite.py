"""A small landscape model that paints and trains on a CPU.

It knows photographs of 69 px, as what is finer is a detail synthesizer's, and its
patches are three quarters of one. Its discriminator sees features of a frozen network
(docs/training.md), so that hours on two cores give a recognizable model, such as the
bundled one.
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape_lite",
        model=ModelConfig(
            patch_size=53,
            z_global_size=64,
            z_local_size=24,
            structure_width=48,
            texture_widths=(128, 96, 64),
            mapping_layers=4,
            vertical_starts=3,
            discriminator="projected",
            feature_size=96,
            layout_widths=(48, 96, 128),
        ),
        data=DataConfig(full_size=69, pre_size=0),
        train=TrainConfig(
            batch_size=16,
            objective="hinge",
            shared_samples=True,
            pixel_weight=15.0,
            layout_weight=50.0,
            distance_weight=60_000.0,
            distance_rampup=2_000,
            learning_rate=6e-3,
            d_learning_rate=4e-4,
            constant_steps=3_000,
            r1_weight=0.0,
            path_weight=0.0,
            style_mixing=0.0,
            ema_rampup=0.03,
            augment=("translation",),
        ),
    )
    return variant_of(config, arg)
