"""Options that several commands have."""

import argparse
import os
import re

from infinitygan_jax.config import DEFAULT_MODEL


def add_checkpoint(
    parser: argparse.ArgumentParser, default: str | None = DEFAULT_MODEL
) -> None:
    """Adds ``--checkpoint``; a default of None tells whether it was given."""
    parser.add_argument(
        "--checkpoint",
        default=default,
        metavar="DIR|FILE|NAME",
        help="a workdir of run_train.py, a .safetensors file or a bundled model's name "
        f"(default: {DEFAULT_MODEL})",
    )


def checkpoint_name(checkpoint: str) -> str:
    """The name of ``--checkpoint`` without folders, which are nobody's business."""
    return os.path.basename(os.path.realpath(checkpoint))


def position_of(option: str, text: str) -> tuple[int, int]:
    """World row and column of an option ``Y,X``.

    Raises:
      ValueError: not of this form.
    """
    numbers = re.fullmatch(r"\s*([-+]?\d{1,20})\s*,\s*([-+]?\d{1,20})\s*", text)
    if not numbers:
        raise ValueError(
            f"{option} ({text}) must be Y,X in whole pixels of up to 20 digits; write "
            f"e.g. {option}=-128,0"
        )
    y, x = map(int, numbers.groups())
    return y, x
