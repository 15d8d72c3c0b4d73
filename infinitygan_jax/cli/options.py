"""Options that several commands have."""

import argparse
import os
import pathlib
import re
import shlex
from typing import Any

from infinitygan_jax import writers
from infinitygan_jax.config import DEFAULT_MODEL, PAINTING, check_painting
from infinitygan_jax.messages import UserError
from infinitygan_jax.writers import jpeg

_NAMES_OF_FILES = ("checkpoint", "image", "images")
_MAYBE_PATHS = ("styles", "style_map", "world")  # which may be of links
# Where something is written, and by whom, changes nothing of what it shows.
_NOT_SAID = (
    "out",
    "overwrite",
    "save_world",
    "save_inversions",
    "shard",
    "finish",
    "dry_run",
)
_PAINTING = {
    "truncation": (
        "PSI",
        "multiply local latents by this, 0 to 1: with less, plainer and clearer forms",
    ),
    "noise_scale": ("K", "multiply noise by this, 0 to 1: with less, less grain"),
}
_AS_THE_MODEL_SAYS = "as the model's settings say"


def add_checkpoint(
    parser: argparse.ArgumentParser, default: str | None = DEFAULT_MODEL
) -> None:
    """Adds ``--checkpoint``; a default of None tells whether it was given."""
    parser.add_argument(
        "--checkpoint",
        default=default,
        metavar="DIR|FILE|NAME",
        help="a workdir of run_train.py (its newest step, or DIR@STEP), a .safetensors "
        f"file or a bundled model's name (default: {DEFAULT_MODEL})",
    )


def painting_keywords(name: str, default: str = _AS_THE_MODEL_SAYS) -> dict[str, Any]:
    """How a parser takes a setting of painting (`config.PAINTING`).

    Args:
      name: of the setting.
      default: what holds where it is not given, in words.
    """
    metavar, help_text = _PAINTING[name]
    text = f"{help_text} (default: {default})"
    return {"type": float, "metavar": metavar, "help": text}


def add_painting(
    parser: argparse.ArgumentParser, default: str = _AS_THE_MODEL_SAYS
) -> None:
    """Adds an option for each setting of painting; see ``painting_keywords``."""
    for name in PAINTING:
        parser.add_argument(f"--{name}", **painting_keywords(name, default))


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds ``--overwrite``, which every command that writes a file has."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there"
    )


def add_quality(parser: argparse.ArgumentParser) -> None:
    """Adds ``--quality``, which every command has that may write a JPEG."""
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help=f"of a .jpg, {jpeg.LEAST_QUALITY} to {jpeg.MOST_QUALITY}: with less, a "
        f"smaller file that is less exact (default: {jpeg.QUALITY})",
    )


def quality_of(
    args: argparse.Namespace, out: str | os.PathLike[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """What ``--quality`` is to the writer of a picture, and to its texts, if given.

    Raises:
      ValueError: it is out of range, or the picture is not of a format that has one.
    """
    quality = args.quality
    if quality is None:
        return {}, {}
    if not jpeg.LEAST_QUALITY <= quality <= jpeg.MOST_QUALITY:
        nearest = min(max(quality, jpeg.LEAST_QUALITY), jpeg.MOST_QUALITY)
        raise UserError(
            f"--quality ({quality}) must be from {jpeg.LEAST_QUALITY} to "
            f"{jpeg.MOST_QUALITY}; use {nearest}"
        )
    if not issubclass(writers.writer_of(out), jpeg.JpegWriter):
        raise UserError(
            f"--quality ({quality}) is of .jpg files, and {out} keeps every pixel as "
            "it is; leave it out, or write a .jpg"
        )
    if quality == jpeg.QUALITY:  # the same picture as without
        return {}, {}
    return {"quality": quality}, {"Quality": str(quality)}


def painting_of(args: argparse.Namespace) -> dict[str, float]:
    """Those settings of painting that were given.

    Raises:
      ValueError: one is out of range.
    """
    given = {name: getattr(args, name) for name in PAINTING}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        check_painting(name, value)
    return given


def given_texts(args: argparse.Namespace) -> dict[str, str]:
    """What a file says of those settings where they were given, in options.

    Unfinished jobs of earlier versions say nothing of what is as the model says.
    """
    words = [f"--{name}={value}" for name, value in painting_of(args).items()]
    return {"Painting": " ".join(words)} if words else {}


def command_of(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    **said: object,
) -> str:
    """What does again what was asked for, without folders, which are nobody's business.

    Where something was written is left out.

    Args:
      parser: of the command; its ``prog`` are the first words.
      args: what was parsed.
      **said: values of options that were chosen for them; None leaves one out, as does
        an option's default.
    """
    words = shlex.split(parser.prog)
    said_before = set()
    for action in parser._actions:
        if action.dest in said_before:  # in another way
            continue
        said_before.add(action.dest)
        value = said.get(action.dest, getattr(args, action.dest, None))
        if value is None or value is False or value == action.default:
            continue
        if action.dest in _NOT_SAID:
            continue
        values = value if isinstance(value, list) else [value]
        texts = [_without_folders(action.dest, str(each)) for each in values]
        option = action.option_strings[-1:]
        if value is True:
            words += option
        elif option and (len(texts) == 1 or action.nargs is None):
            words += [f"{option[0]}={text}" for text in texts]
        else:
            words += [*option, *texts]
    return shlex.join(words)


def _without_folders(name: str, text: str) -> str:
    """The value of an option, which may be the name of a file."""
    if name in _NAMES_OF_FILES:
        return checkpoint_name(text)
    return pathlib.Path(text).name if name in _MAYBE_PATHS else text


def checkpoint_name(checkpoint: str) -> str:
    """The name of ``--checkpoint`` without folders, which are nobody's business."""
    return os.path.basename(os.path.realpath(checkpoint))


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Index and number of shards.

    Args:
      text: ``I/N``, or None.

    Raises:
      ValueError: not of this form, or there is no such shard.
    """
    if text is None:
        return None
    index, number = whole_numbers(text, "N/N") or (-1, 0)
    if not 0 <= index < number:
        raise UserError(
            f"--shard ({text}) must be I/N with I from 0 to N - 1; the first of four "
            "is --shard 0/4"
        )
    return index, number


def whole_numbers(
    text: str, form: str, most_digits: int = 18
) -> tuple[int, ...] | None:
    """The whole numbers of a text; None where it is not of its form.

    Args:
      text: what was typed; spaces, signs and ``1_000`` are allowed, as in one number.
      form: N for each number, and what is between them, such as "N,N" or "NxN".
      most_digits: of each number.
    """
    number = rf"([-+]?\d(?:_?\d){{0,{most_digits - 1}}})"
    parts = {"N": number, "x": "[xX]"}
    pattern = r"\s*".join(parts.get(each, re.escape(each)) for each in form)
    found = re.fullmatch(rf"\s*{pattern}\s*", text)
    return tuple(map(int, found.groups())) if found else None


def position_of(option: str, text: str) -> tuple[int, int]:
    """World row and column of an option ``Y,X``.

    Raises:
      ValueError: not of this form.
    """
    numbers = whole_numbers(text, "N,N", 20)
    if not numbers:
        raise UserError(
            f"{option} ({text}) must be Y,X in whole pixels of up to 20 digits; write "
            f"e.g. {option}=-128,0"
        )
    y, x = numbers
    return y, x
