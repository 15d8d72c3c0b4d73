"""What messages are made of: other messages, names that were meant, readable sizes.

And the exception that carries those for people.
"""

import difflib
import re
from collections.abc import Iterable

# Digits or a word that nobody reads to the end; paths are shorter.
_ENDLESS = re.compile(r"(\d{20})\d{30,}"), re.compile(r"(\S{100})\S{900,}")


class UserError(ValueError):
    """What a person did, or gave, and can put right: one line with rule and remedy.

    A ``ValueError`` of any other kind, such as NumPy's or JAX's own, is a bug of this
    project, and keeps its traceback.
    """


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is near.

    Dashes before names are not compared, as all options have them in common.
    """
    bare = {each.lstrip("-"): each for each in names}
    near = difflib.get_close_matches(name.lstrip("-"), bare, n=1, cutoff=0.6)
    return bare[near[0]] if near else None


def one_line(error: BaseException) -> str:
    """An exception's message on one line; a system error's file and reason."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        names = [str(n) for n in (error.filename, error.filename2) if n is not None]
        text = ": ".join(filter(None, (" -> ".join(names), error.strerror)))
    for endless in _ENDLESS:
        text = endless.sub(r"\1...", text)
    return " ".join(text.split()) or type(error).__name__


def readable_bytes(number: int) -> str:
    """A number of bytes in MB or GB."""
    return f"{number / 1e9:.2f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
