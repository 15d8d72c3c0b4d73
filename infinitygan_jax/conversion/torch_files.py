"""PyTorch's files, read without running anything that they hold."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from infinitygan_jax.messages import UserError, one_line


def load(path: pathlib.Path, what: str) -> Any:
    """What ``torch.save`` wrote: tensors, in any nesting.

    Args:
      path: of the file.
      what: it is, for messages.

    Raises:
      ValueError: PyTorch or the file is missing, or the file cannot be read safely.
    """
    if not path.is_file():
        raise UserError(f"{what} ({path}) does not exist; give another file")
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{what} ({path}) is PyTorch's, which is not installed; install the extra "
            "'convert' (make install EXTRAS=test,convert)"
        ) from None
    try:
        # weights_only: a pickle from outside could run anything.
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises anything
        raise UserError(
            f"{what} ({path}) must be a whole file of tensors written by torch.save, "
            f"and it is not ({one_line(error)[:200]}); download it again"
        ) from error


def arrays_of(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A state dict's tensors as float32 arrays.

    Raises:
      ValueError: a value is no tensor.
    """
    for key, value in state.items():
        if not hasattr(value, "detach"):
            raise UserError(
                f"key {key} is a {type(value).__name__} and must be a tensor; give a "
                "state dict"
            )
    return {key: value.detach().float().numpy() for key, value in state.items()}
