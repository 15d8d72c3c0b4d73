"""The paper's UR model: patches of 773 pixels from landscapes of 1024, 1.6M steps.

Train it on pictures whose shorter side is at least 1024 pixels: smaller ones are
enlarged, and the model learns their blur.
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape_ur",
        model=ModelConfig(patch_size=773, stddev_group=16),
        data=DataConfig(full_size=1024, pre_size=0),
        train=TrainConfig(batch_size=16, num_steps=1_600_000),
    )
    return variant_of(config, arg)
