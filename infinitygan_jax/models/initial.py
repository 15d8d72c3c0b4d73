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
    if isinstance(key, jax.core.Tracer):  # only an outermost jit may have options
        return module.init(key, *inputs)["params"]
    return devices.jit_in_a_hurry(module.init)(key, *inputs)["params"]
