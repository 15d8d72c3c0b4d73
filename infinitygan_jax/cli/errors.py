"""How every command reports a mistake: one line on stderr, exit status 2."""

import argparse
import contextlib
import functools
import os
import pathlib
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from infinitygan_jax.cli import parameters
from infinitygan_jax.messages import UserError, nearest, one_line

# Files that are no text, and a loss that is not finite, end a command as mistakes do.
EXPECTED_ERRORS = (UserError, UnicodeError, OSError, FloatingPointError)
# Packages of the extra "train", as they are imported.
_TRAINING = ("absl", "clu", "grain", "orbax", "tensorboardX", "tensorflow_datasets")
INTERRUPTED = 128 + signal.SIGINT  # exit status
_MOST_DIGITS = 20  # of a whole number: those of 2**64


def exit_on_error(main: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a command's ``main`` so that a mistake is one line, not a traceback.

    A ``UserError`` or ``OSError`` prints ``error: ...`` on stderr and exits with
    status 2; parameters that a message names are printed as options (``parameters``).
    An interrupt exits with 130. Any other exception is a bug of this project and keeps
    its traceback, as do all with ``INFINITYGAN_TRACEBACK=1`` in the environment.
    """

    @functools.wraps(main)
    def command(*args: Any, **kwargs: Any) -> Any:
        parameters.declare({})  # until there is a parser
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(INTERRUPTED) from None
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _TRAINING or os.environ.get("INFINITYGAN_TRACEBACK"):
                raise
            print(
                f"error: this needs the package {package}, which painting does not; "
                "pip install 'infinitygan_jax[train]', or make install",
                file=sys.stderr,
            )
            raise SystemExit(2) from None
        except EXPECTED_ERRORS as error:
            if os.environ.get("INFINITYGAN_TRACEBACK"):
                raise
            line = one_line(error)
            if isinstance(error, UserError):
                line = parameters.as_options(line)
            if isinstance(error, OSError) and tells_of_a_full_disk(line):
                line += "; free some space, and try again"
            print(f"error: {line}", file=sys.stderr)
            raise SystemExit(2) from None

    return command


def tells_of_a_full_disk(reason: str) -> bool:
    """Whether what the system says is that no space is left, or none for this user."""
    return any(words in reason.lower() for words in ("no space left", "quota"))


def run(main: Callable[[], Any]) -> None:
    """Runs a command as this process' program; a signal to stop ends it at once.

    Otherwise Python's end waits for all threads, and one that compiles goes on for up
    to a minute, or crashes. What has to be cleaned up is so before ``main`` ends.

    What it prints may get lost, into a pipe that was closed or where there is no
    standard error: what it makes is made all the same.

    Args:
      main: under ``exit_on_error``, or a function that imports and calls one.
    """
    _open_missing_streams()
    sys.stdout, sys.stderr = _Forgiving(sys.stdout), _Forgiving(sys.stderr)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    status = INTERRUPTED
    try:
        main()
        exit_on_error(sys.stdout.flush)()  # a full disk, say
    except KeyboardInterrupt:  # while the command was imported
        print("interrupted", file=sys.stderr)
    except SystemExit as end:
        if end.code not in (INTERRUPTED, 128 + signal.SIGTERM):
            raise
        status = end.code
    else:
        return
    _end(status)


class _Forgiving:
    """A stream of text that goes on when nobody reads its pipe any more."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _forgiven(self._stream):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with _forgiven(self._stream):
            self._stream.flush()


@contextlib.contextmanager
def _forgiven(stream: Any) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is left in its buffer goes nowhere, now and at Python's end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise


def send(path: pathlib.Path) -> None:
    """Copies a file to standard output; whoever reads it may go away before its end.

    Raises:
      OSError: it cannot be read, or not be written there.
    """
    stream = sys.stdout
    stream.flush()
    with path.open("rb") as file, _forgiven(stream):
        shutil.copyfileobj(file, stream.buffer)
        stream.buffer.flush()


def _open_missing_streams() -> None:
    """Opens nothing in place of standard streams that were closed (``2>&-``).

    The next files that are opened would get their numbers, and what libraries print
    would go into a picture.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _interrupt(number: int, frame: Any) -> None:
    """Raises what Python's own handler does, where that is not lost."""
    if _is_lost_in(frame):
        print("interrupted", file=sys.stderr)
        _end(INTERRUPTED)
    raise KeyboardInterrupt


def _is_lost_in(frame: Any) -> bool:
    """Whether an exception would be shown there with a traceback, and ignored."""
    return frame is not None and frame.f_code.co_name == "_xla_gc_callback"


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Lets SIGINT and SIGTERM stop long work by an exception, so that it cleans up.

    Python loses an exception that a signal's handler raises while an object is being
    finalized, and JAX finalizes many. Hence the function that is yielded: called now
    and then, it raises what was lost.
    """
    asked: list[int] = []

    def stop_if_asked() -> None:
        if asked:
            if asked[0] == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + asked[0])

    def handle(number: int, frame: Any) -> None:
        asked.append(number)
        if not _is_lost_in(frame):
            stop_if_asked()

    former = {}
    with contextlib.suppress(ValueError):  # not in the main thread: as it was
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell lets programs in the background ignore SIGINT; that stays.
            if signal.getsignal(number) != signal.SIG_IGN:
                former[number] = signal.signal(number, handle)
    try:
        yield stop_if_asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class ArgumentParser(argparse.ArgumentParser):
    """An ``argparse`` parser whose usage errors are ``UserError``s of one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)
        self.register("type", int, _whole_number)

    def error(self, message: str) -> NoReturn:
        """Raises the usage error that argparse would print over several lines."""
        number = re.fullmatch(
            r"argument (\S+): invalid (int|float) value: (.*)", message, re.S
        )
        if number:
            option, kind, value = number.groups()
            kind = "whole number" if kind == "int" else "number"
            raise UserError(
                f"{option} ({value}) must be a {kind}; write it in up to "
                f"{_MOST_DIGITS} digits"
            )
        raise UserError(f"{message}; --help lists the options")

    # Nobody gives a namespace of another type, which argparse would return as such.
    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parses the arguments; for an unknown option, names the nearest one."""
        # The first option of several that say the same.
        parameters.declare(
            {each.dest: _shown(each) for each in reversed(self._actions)}
        )
        words = list(sys.argv[1:] if args is None else args)
        for former, word in zip(["", *words], words, strict=False):
            if not word or re.fullmatch(r"--\w+=", word):
                name = (word or former).rstrip("=")
                of = f" of {name}" if name.startswith("--") else ""
                raise UserError(
                    f"a value{of} is empty, as of a variable that is not set; give one"
                )
        words = self._joined(words)
        options = [o for o in self._option_string_actions if o.startswith("--")]
        # Before argparse misses the one that was meant.
        for word in words[: words.index("--") if "--" in words else None]:
            name = word.partition("=")[0]
            if re.match(r"--\w", name) and name not in options:
                raise UserError(unknown_option(name, options))
        values, unknown = self.parse_known_args(words, namespace)
        if unknown:
            raise UserError(unknown_option(unknown[0].partition("=")[0], options))
        return values

    def _joined(self, words: Sequence[str]) -> list[str]:
        """Ties negative numbers to options of one value: -100,20 looks like an option.

        Args:
          words: of a command line.
        """
        joined: list[str] = []
        for word in words:
            of = self._option_string_actions.get(joined[-1]) if joined else None
            if of is not None and of.nargs is None and re.match(r"-\d", word):
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined


def _shown(action: argparse.Action) -> str:
    """An option as it is typed, or what help calls a word without one."""
    if action.option_strings:
        return action.option_strings[-1]
    name = action.metavar or action.dest
    return name if isinstance(name, str) else name[0]


def _whole_number(text: str) -> int:
    """An ``int`` that is not so long that arithmetic with it fails."""
    if len(text.strip()) > _MOST_DIGITS + 1:  # and a sign
        raise ValueError
    return int(text)


def unknown_option(name: str, options: Sequence[str]) -> str:
    """One line for an option or argument that a command does not know."""
    if not name.startswith("-"):
        return f"unexpected argument {name!r}; --help lists the options"
    near = nearest(name, options)
    remedy = f"the nearest is {near}" if near else "--help lists the options"
    return f"unknown option {name}; {remedy}"
