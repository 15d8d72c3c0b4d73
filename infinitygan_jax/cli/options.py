"""Options that several commands have."""

import argparse
import os
import re
import shlex

from infinitygan_jax.config import DEFAULT_MODEL, PAINTING, check_painting
from infinitygan_jax.messages import UserError

_NAMES_OF_FILES = ("checkpoint", "image", "images")


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


def add_painting(
    parser: argparse.ArgumentParser, default: str = "as the model's settings say"
) -> None:
    """Adds an option for each setting of painting (`config.PAINTING`).

    Args:
      parser: of a command.
      default: what holds where it is not given, in words.
    """
    parser.add_argument(
        "--truncation",
        type=float,
        metavar="PSI",
        help="multiply local latents by this, 0 to 1: with less, "
        f"plainer and clearer forms (default: {default})",
    )
    parser.add_argument(
        "--noise_scale",
        type=float,
        metavar="K",
        help="multiply noise by this, 0 to 1: with less, less grain "
        f"(default: {default})",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds ``--overwrite``, which every command that writes a file has."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there"
    )


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


def painting_words(args: argparse.Namespace) -> list[str]:
    """The same as words of a command."""
    return [f"--{name}={value}" for name, value in painting_of(args).items()]


def given_texts(args: argparse.Namespace) -> dict[str, str]:
    """What a file says of those settings where they were given, in options.

    Unfinished jobs of earlier versions say nothing of what is as the model says.
    """
    words = painting_words(args)
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
    said = {"out": None, "overwrite": None, "save_inversions": None, **said}
    words = shlex.split(parser.prog)
    for action in parser._actions:
        value = said.get(action.dest, getattr(args, action.dest, None))
        if value is None or value is False or value == action.default:
            continue
        values = value if isinstance(value, list) else [value]
        texts = [str(each) for each in values]
        if action.dest in _NAMES_OF_FILES:
            texts = [checkpoint_name(text) for text in texts]
        option = action.option_strings[-1:]
        if value is True:
            words += option
        elif option and len(texts) == 1:
            words.append(f"{option[0]}={texts[0]}")
        else:
            words += option + texts
    return shlex.join(words)


def checkpoint_name(checkpoint: str) -> str:
    """The name of ``--checkpoint`` without folders, which are nobody's business."""
    return os.path.basename(os.path.realpath(checkpoint))


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
