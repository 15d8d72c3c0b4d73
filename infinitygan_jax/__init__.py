"""InfinityGAN in JAX: any rectangle of an infinite picture, as a pure function."""

import importlib

__version__ = "0.1.0"
__all__ = ["World", "__version__"]


def __getattr__(name: str):
    # Lazy, so that importing the settings or the geometry does not load JAX.
    if name == "World":
        return importlib.import_module("infinitygan_jax.sampling.world").World
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
