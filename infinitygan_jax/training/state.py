"""Everything that training carries from one step to the next."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from infinitygan_jax import fields
from infinitygan_jax.config import Config, TrainConfig
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.training import patch_features
from infinitygan_jax.training.tasks import task_of

# Features kept for the energy distance. Those of generated patches are few: G would be
# corrected for what it was long ago, and swing.
NUM_SEEN = {"real": 1024, "fake": 256}
_BETA2 = 0.99
_EMA_SAMPLES = 32  # the reference's decay is 0.5 ** (32 / 10000)


class TrainState(flax.struct.PyTreeNode):
    """State of training; a pytree of arrays.

    Attributes:
      step: steps done, int32 scalar.
      g_params, d_params: parameters of generator and discriminator.
      d_state: what the discriminator carries besides (`models.discriminator`).
      ema_params: moving average of g_params, the generator that is kept.
      g_opt_state, d_opt_state: Adam's moments.
      path_mean: running mean of path lengths, float32 scalar.
      seen: features (`patch_features`) of what D last saw: "real" and "fake" [n, d],
        the newest last, zeros before there were so many; nothing where G's loss has no
        such distance.
    """

    # Not annotated as arrays: JAX puts shapes and other things in their places.
    step: Any
    g_params: Mapping[str, Any]
    d_params: Mapping[str, Any]
    d_state: Mapping[str, Any]
    ema_params: Mapping[str, Any]
    g_opt_state: optax.OptState
    d_opt_state: optax.OptState
    path_mean: Any
    seen: Mapping[str, Any]


def _nothing_seen(config: Config) -> dict[str, Any]:
    if not config.train.distance_weight:
        return {}
    width = sum(patch_features.widths(config.judged))
    return {name: jnp.zeros((number, width)) for name, number in NUM_SEEN.items()}


def optimizers(
    config: TrainConfig,
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Adam for G and D, corrected for lazy updates (docs/model.md, section 7.8)."""
    path = config.path_every if config.path_weight else None
    r1 = config.r1_every if config.r1_weight else None
    d_rate = config.d_learning_rate or config.learning_rate
    return _adam(config.learning_rate, path), _adam(d_rate, r1)


def _adam(learning_rate: float, period: int | None) -> optax.GradientTransformation:
    # A regularizer of period n takes n / (n + 1) of a step's worth of the schedule.
    share = 1.0 if period is None else period / (period + 1)
    return optax.adam(learning_rate * share, b1=0.0, b2=_BETA2**share, eps=1e-8)


def rate_share(config: TrainConfig, step: Int[Array, ""]) -> Float[Array, ""] | float:
    """The share of the learning rates that the step after so many steps takes."""
    if not config.constant_steps:
        return 1.0
    passed = (step.astype(jnp.float32) + 1) / config.constant_steps
    return jax.lax.rsqrt(jnp.maximum(passed, 1.0))


def distance_weight(config: TrainConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """What the energy distance weighs in the step after so many steps."""
    passed = (step.astype(jnp.float32) + 1) / max(config.distance_rampup, 1)
    return config.distance_weight * jnp.minimum(passed, 1.0)


def ema_decay(config: TrainConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """Decay of the generator's moving average when ``step`` (from 1 on) is done."""
    half_life = jnp.float32(config.ema_half_life / _EMA_SAMPLES)  # in steps
    if config.ema_rampup:
        half_life = jnp.minimum(half_life, config.ema_rampup * step.astype(jnp.float32))
    return jnp.exp2(-1 / half_life)


def init_state(config: Config) -> TrainState:
    """The state before the first step, a function of ``config.train.seed``."""
    key = fields.key_of(config.train.seed)
    g_key, d_key = jax.random.split(key, 2)
    g_params = task_of(config).init(g_key)
    d_params, d_state = discriminator_of(config.judged).init(d_key)
    g_optimizer, d_optimizer = optimizers(config.train)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        g_params=g_params,
        d_params=d_params,
        d_state=d_state,
        ema_params=jax.tree.map(jnp.copy, g_params),
        g_opt_state=g_optimizer.init(g_params),
        d_opt_state=d_optimizer.init(d_params),
        path_mean=jnp.zeros(()),
        seen=_nothing_seen(config),
    )
