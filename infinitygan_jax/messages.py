"""How messages quote other messages."""


def one_line(error: BaseException) -> str:
    """An exception's message on one line; a system error's file and reason."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        names = [str(n) for n in (error.filename, error.filename2) if n is not None]
        text = ": ".join([" -> ".join(names), error.strerror] if names else [text])
    return " ".join(text.split()) or type(error).__name__
