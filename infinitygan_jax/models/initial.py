"""Start values of a network."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import PRNGKeyArray

from infinitygan_jax import devices


def init_params(
    module: nn.Module, key: PRNGKeyArray, *inputs: Any
) -> Mapping[str, Any]:
    """A module's fresh parameters; ``inputs`` have the shapes of a batch of one."""
    return init_variables(module, key, *inputs)["params"]


def init_variables(
    module: nn.Module, key: PRNGKeyArray, *inputs: Any
) -> Mapping[str, Any]:
    """All of a module's fresh variables, by collection, as ``init_params``."""
    if isinstance(key, jax.core.Tracer):  # only an outermost jit may have options
        return module.init(key, *inputs)
    return devices.jit_in_a_hurry(module.init)(key, *inputs)
