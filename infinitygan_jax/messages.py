"""How messages quote other messages."""

import re

# Digits or a word that nobody reads to the end; paths are shorter.
_ENDLESS = re.compile(r"(\d{20})\d{30,}"), re.compile(r"(\S{100})\S{900,}")


def one_line(error: BaseException) -> str:
    """An exception's message on one line; a system error's file and reason."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        names = [str(n) for n in (error.filename, error.filename2) if n is not None]
        text = ": ".join([" -> ".join(names), error.strerror] if names else [text])
    for endless in _ENDLESS:
        text = endless.sub(r"\1...", text)
    return " ".join(text.split()) or type(error).__name__
