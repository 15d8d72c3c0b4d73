"""Start values of a network: compiled for one run, so compiled in a hurry."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import PRNGKeyArray

# Drawing some thirty kernels runs once and takes milliseconds; optimizing the code for
# it took 11 s at landscape_lite's widths, and 3 s without. The values are the same.
_HURRY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def init_params(
    module: nn.Module, key: PRNGKeyArray, *inputs: Any
) -> Mapping[str, Any]:
    """A module's fresh parameters; ``inputs`` have the shapes of a batch of one."""
    if isinstance(key, jax.core.Tracer):  # only an outermost jit may have options
        return module.init(key, *inputs)["params"]
    options = _HURRY if jax.default_backend() == "cpu" else None
    return jax.jit(module.init, compiler_options=options)(key, *inputs)["params"]
