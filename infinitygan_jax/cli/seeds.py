"""Lists of seeds as people write them: ``1 2 3``, ``0-99,120``, or all of these."""

import re
from collections.abc import Sequence

from infinitygan_jax.messages import UserError
from infinitygan_jax.seed_range import check_seed

MOST = 10_000  # of one option
HOW = "; also in ranges and with commas: 0-99,120"  # for help texts
_NUMBER = r"([-+]?\d(?:_?\d){0,19})"
_PART = re.compile(rf"\s*{_NUMBER}\s*(?:-\s*{_NUMBER}\s*)?")


def listed(option: str, texts: Sequence[str]) -> list[int]:
    """The seeds of an option, in order.

    Args:
      option: messages name it.
      texts: its words, each of one or several seeds and ranges, whose ends belong to
        them.

    Raises:
      ValueError: not of this form, a seed is out of range, or they are too many.
    """
    ranges = [_range(option, text, part) for text in texts for part in text.split(",")]
    number = sum(each.stop - each.start for each in ranges)  # too large for len
    if number > MOST:
        raise UserError(
            f"{option} must be at most {MOST} seeds, and {' '.join(texts)[:60]} are "
            f"{number}; give fewer at a time"
        )
    return [seed for each in ranges for seed in each]


def styles(option: str, texts: Sequence[str]) -> list[str]:
    """Words of styles, with each seed of lists without a place as a word of its own.

    Raises:
      ValueError: see ``listed``.
    """
    found: list[str] = []
    for text in texts:
        # All else may be a file, or has a place.
        is_list = re.fullmatch(r"[-+\d_,\s]+", text)
        found += map(str, listed(option, [text])) if is_list else [text]
    if len(found) > MOST:
        raise UserError(
            f"{option} must be at most {MOST} styles, and these are {len(found)}; give "
            "fewer"
        )
    return found


def _range(option: str, text: str, part: str) -> range:
    match = _PART.fullmatch(part)
    if not match:
        raise UserError(
            f"{option} ({text!r}) must be seeds or ranges, with commas between; "
            "write e.g. 0-99,120"
        )
    first, last = (int(each) for each in (match[1], match[2] or match[1]))
    for seed in (first, last):
        check_seed(seed, f"{option}: seed")
    if last < first:
        raise UserError(
            f"{option} ({text}) must have ranges from a seed to a larger one; write "
            f"{last}-{first}"
        )
    return range(first, last + 1)
