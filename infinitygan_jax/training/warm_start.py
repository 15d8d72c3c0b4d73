"""Training that begins with the weights of a trained model, ``train.initial``."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import config as config_lib
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.training.checkpoint import Networks, load_networks
from infinitygan_jax.training.state import TrainState
from infinitygan_jax.training.stored import is_workdir, load_bundle, load_detail

logger = logging.getLogger(__name__)

# What the shapes of a network's parameters follow from.
_SIZES = {
    "generator": frozenset(
        f"model.{name}"
        for name in (
            "patch_size",
            "z_global_size",
            "z_local_size",
            "structure_width",
            "texture_widths",
            "mapping_layers",
            "previews",
            "coords",
        )
    ),
    "detail": frozenset(
        f"detail.{name}" for name in ("width", "num_blocks", "fine_width", "noise_size")
    ),
}


def read(
    config: config_lib.Config, make_state: Callable[[], TrainState]
) -> Networks | None:
    """The model that ``train.initial`` names, its generator checked; None if none.

    Args:
      config: all settings.
      make_state: makes a state of these settings; it is only traced.

    Raises:
      ValueError: there is no such model, it was altered, or it has other sizes.
    """
    name = config.train.initial
    if not name:
        return None
    try:
        initial = _load(config, os.path.expanduser(name))
    except (ValueError, OSError) as error:
        raise UserError(f"train.initial: {one_line(error)}") from error
    bundle = initial.bundle
    needed = jax.eval_shape(make_state).g_params
    arrays = bundle_lib.shape_differences(needed, bundle.generator)
    if arrays:
        settings = [
            line
            for line in settings_lib.differences(bundle.config, config)
            if line.split(":")[0] in _SIZES[config.train.network]
        ]
        raise UserError(
            f"train.initial ({name}) must be a model of the sizes that are set, and it "
            f"has others (its own -> set: {'; '.join(settings or arrays[:3])}); set "
            "its own, or name another model"
        )
    return initial


def _load(config: config_lib.Config, path_or_name: str) -> Networks:
    if is_workdir(path_or_name):  # it has every discriminator; bundles lack some
        return load_networks(path_or_name)
    if config.train.network == "detail":
        part = load_detail(path_or_name)
        return Networks(bundle_lib.Bundle(part.config, part.params), None, {})
    bundle = load_bundle(path_or_name)
    return Networks(bundle, bundle.discriminator, {})


def begin(state: TrainState, initial: Networks) -> TrainState:
    """A fresh state with the weights of a trained model.

    Both generators are the model's, which is a moving average. So is the discriminator
    with its state, if all their arrays fit; if not both stay fresh, which is logged.
    Optimizers are fresh.
    """
    bundle = initial.bundle
    state = state.replace(
        g_params=_taken(state.g_params, bundle.generator),
        ema_params=_taken(state.g_params, bundle.generator),
    )
    if initial.d_params is None:
        logger.info("the discriminator begins anew: train.initial has none")
        return state
    # Together or not at all: what was learnt behind other kernels is of no use.
    fresh = {"params": state.d_params, "state": state.d_state}
    given = {"params": initial.d_params, "state": initial.d_state}
    wrong = bundle_lib.shape_differences(fresh, given)
    if wrong:
        logger.info(
            "the discriminator begins anew: that of train.initial has other arrays "
            "(%s%s)",
            "; ".join(wrong[:3]),
            "; ..." if len(wrong) > 3 else "",
        )
        return state
    return state.replace(
        d_params=_taken(state.d_params, initial.d_params),
        d_state=_taken(state.d_state, initial.d_state),
    )


def _taken(like: Any, arrays: Mapping[str, Any]) -> Any:
    # Copies: each is an argument of the steps, which reuse its memory.
    return jax.tree.map(lambda _, array: jnp.array(array), like, arrays)
