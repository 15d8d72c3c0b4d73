"""A narrow landscape model that paints and trains on a CPU; the bundled one."""

import ml_collections

from configs import common
from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape_lite",
        model=ModelConfig(
            patch_size=53,
            z_global_size=64,
            z_local_size=16,
            structure_width=32,
            texture_widths=(96, 64, 32, 32, 32, 16, 16, 16),
            mapping_layers=4,
            discriminator_widths=(128, 128, 96, 64, 32, 32, 32, 16, 16, 16),
            stddev_group=4,
            truncation=0.35,  # whole, skies and grounds lie in pieces
            noise_scale=0.5,  # whole, grain lies over all
        ),
        data=DataConfig(full_size=101, pre_size=0),
        # A sheet of some hundred steps already shows what was learnt.
        train=TrainConfig(batch_size=16, r1_weight=1.0, ema_rampup=0.1),
    )
    return common.variant_of(config, arg)
