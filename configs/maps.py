"""For scenes without an up direction, such as maps or satellite pictures.

The coordinates are periodic both ways and there is no vertical label to learn; all
else is as in ``landscape``, without its reduction of the pictures to 128 pixels.
"""

import ml_collections

from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from infinitygan_jax.variants import variant_of


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = Config(
        name="maps",
        model=ModelConfig(patch_size=101, coords="plane", stddev_group=16),
        data=DataConfig(full_size=197, pre_size=0),
        train=TrainConfig(batch_size=16, num_steps=800_000, coords_weight=0.0),
    )
    return variant_of(config, arg)
