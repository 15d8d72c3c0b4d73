"""What the files of ``configs/`` share: their one variant, ``:runlocal``."""

import dataclasses

import ml_collections

from infinitygan_jax import config as settings
from infinitygan_jax.config import Config
from infinitygan_jax.messages import UserError

VARIANTS = ("", "runlocal")
LOCAL_PATCH = 17  # one stage, the smallest patch: the time is that of compiling
LOCAL_DETAIL = 20  # of what a detail synthesizer paints


def variant_of(config: Config, arg: str) -> ml_collections.ConfigDict:
    """The ConfigDict that ``get_config(arg)`` returns.

    Args:
      config: the model's full settings.
      arg: what follows the colon of ``FILE:arg``; "" for the settings as they are,
        "runlocal" for those of ``run_local``.

    Raises:
      ValueError: any other ``arg``.
    """
    if arg not in VARIANTS:
        raise UserError(
            f"unknown variant {arg!r} of configs/{config.name}.py; "
            "use :runlocal, or none for the full model"
        )
    return settings.to_config_dict(run_local(config) if arg == "runlocal" else config)


def run_local(config: Config) -> Config:
    """The same kind of model, so small that a laptop trains it in seconds.

    It learns generated pictures. Coordinates, augmentation and loss weights stay, and
    so does the share of a training image that a patch shows.
    """
    local = LOCAL_DETAIL if config.train.network == "detail" else LOCAL_PATCH
    scale = local / config.judged.patch_size
    model = dataclasses.replace(
        config.model,
        patch_size=LOCAL_PATCH,
        z_global_size=16,
        z_local_size=8,
        structure_width=16,
        texture_widths=(16, 8, 8, 8, 8, 8, 8, 8),
        mapping_layers=1,
        discriminator_widths=(16, 16, 8, 8, 8, 8, 8, 8, 8, 8),
        feature_size=settings.LEAST_FEATURE_SIZE,
        head_width=8,
        pixel_widths=(8, 8),
        layout_widths=(8,) if config.model.layout_widths else (),
        stddev_group=4,
    )
    detail = dataclasses.replace(
        config.detail,
        patch_size=LOCAL_DETAIL,
        width=8,
        num_blocks=1,
        fine_width=4,
        discriminator_widths=(16, 16, 8, 8),
        feature_size=settings.LEAST_FEATURE_SIZE,
        head_width=8,
        pixel_widths=(8, 8),
        stddev_group=4,
    )
    data = dataclasses.replace(
        config.data,
        source="generated:32",
        least_size=round(config.data.least_size * scale),
        full_size=round(config.data.full_size * scale),
        pre_size=round(config.data.pre_size * scale),
        num_threads=1,
    )
    train = dataclasses.replace(
        config.train,
        batch_size=16,  # eight devices take a pair each, and half of it for paths
        num_steps=4,
        in_a_hurry=True,
        r1_every=3,
        path_every=2,
        log_every=2,
        sheet_every=4,
        save_every=2,
    )
    name = f"{config.name}_runlocal"
    return Config(name=name, model=model, detail=detail, data=data, train=train)
