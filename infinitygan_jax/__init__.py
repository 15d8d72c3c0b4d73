"""InfinityGAN in JAX: any rectangle of an infinite picture, as a pure function."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["World", "__version__", "load_bundle"]

_HOMES = {
    "World": "infinitygan_jax.sampling.world",
    "load_bundle": "infinitygan_jax.training.stored",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that importing the settings or the geometry does not load JAX.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
