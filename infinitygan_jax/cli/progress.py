"""The progress bar of commands that take a while."""

import sys

import tqdm


def bar(total: int, unit: str, *, disable: bool = False) -> tqdm.tqdm:
    """A progress bar on stderr; in a log file it writes a line now and then.

    Args:
      total: how many units there are.
      unit: what is counted.
      disable: show nothing.
    """
    interval = 0.2 if sys.stderr.isatty() else 10  # seconds
    return tqdm.tqdm(total=total, unit=unit, mininterval=interval, disable=disable)
