"""The paper's model: patches of 101 pixels from landscapes of 197, 800k steps.

The pictures are reduced to 128 pixels and enlarged to 197, so that their field of view
matches that of the paper's baselines.
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="landscape",
        model=ModelConfig(patch_size=101, stddev_group=16),
        data=DataConfig(full_size=197, pre_size=128),
        train=TrainConfig(batch_size=16, num_steps=800_000),
    )
    return variant_of(config, arg)
