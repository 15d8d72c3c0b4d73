"""What every command does with a mistake, for the tests of each."""

import pathlib
import re
from collections.abc import Callable, Sequence

import pytest


def refused(
    capsys: pytest.CaptureFixture,
    main: Callable[[Sequence[str]], None],
    arguments: Sequence[str],
    *words: str,
) -> str:
    """Asserts one line on stderr with these words, status 2, and no change on disk.

    Only ``--dry_run`` may print, and a progress bar may have begun.

    Returns:
      The line.
    """
    before = _files()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" or "--dry_run" in arguments
    lines = [line for line in re.split(r"[\r\n]+", err) if line.strip()]
    lines = [line for line in lines if not re.match(r" *\d+%\|", line)]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 600
    for word in words:
        assert word in lines[0], lines[0]
    assert _files() == before
    return lines[0]


def _files() -> dict[str, int]:
    """Everything in the current folder, with its time of change.

    But for what is in jobs: looking at one takes locks, and is going on.
    """
    found = {}
    for path in pathlib.Path().rglob("*"):
        if path.suffix == ".job":
            found[str(path)] = 0
        elif all(parent.suffix != ".job" for parent in path.parents):
            found[str(path)] = path.lstat().st_mtime_ns
    return found
