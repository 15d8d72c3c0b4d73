"""Photographs, tfds datasets and generated pictures -> batches of patches."""

from infinitygan_jax.data.pipeline import make_batches
from infinitygan_jax.data.sources import (
    ImageSource,
    SkippedImage,
    SourceReport,
    check_source,
    open_source,
)

__all__ = [
    "ImageSource",
    "SkippedImage",
    "SourceReport",
    "check_source",
    "make_batches",
    "open_source",
]
