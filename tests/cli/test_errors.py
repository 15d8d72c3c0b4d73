"""Every command reports a mistake as one line with exit status 2."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from infinitygan_jax.cli import errors
from infinitygan_jax.messages import UserError


def run(error):
    @errors.exit_on_error
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_info:
        main()
    return exit_info.value.code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("size (0) must be above 0"), "error: size (0) must be above 0"),
        (UserError("first\n\n  second\n"), "error: first second"),
        (UserError(), "error: UserError"),
        (UserError(f"x ({'9' * 5000}) is"), f"error: x ({'9' * 20}...) is\n"),
        (UserError("x" * 5000), f"error: {'x' * 100}...\n"),
        (FileNotFoundError(2, "No such file", "a.png"), "error: a.png: No such file"),
        (OSError("no reason"), "error: no reason"),
        (
            OSError(28, "No space left on device"),
            "error: No space left on device; free some space, and try again\n",
        ),
        (
            OSError(122, "Disk quota exceeded", "a.npz"),
            "error: a.npz: Disk quota exceeded; free some space, and try again\n",
        ),
        (OSError(18, "Cross-device", "a", None, "b"), "error: a -> b: Cross-device"),
        (FloatingPointError("d_loss is nan"), "error: d_loss is nan"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "error: 'utf-8' codec"),
    ],
)
def test_mistakes_are_one_line_with_status_2(error, line, capsys):
    assert run(error) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1 and err.endswith("\n")


_PROGRAM = """
import os, signal, sys, threading, time
from infinitygan_jax.cli import errors
from infinitygan_jax.messages import UserError

def main():
    threading.Thread(target=time.sleep, args=(60,)).start()  # as one that compiles
    {imported}
    with errors.stoppable():
        print("begun", flush=True)
        time.sleep(60)

errors.run({command})
"""


@pytest.mark.parametrize("where", ["in the command", "while it is imported"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_a_program_at_once_whatever_its_threads_do(number, status, where):
    imported = where == "while it is imported"
    if imported and number == signal.SIGTERM:
        pytest.skip("Python has no handler for it")
    text = _PROGRAM.format(
        imported="print('begun', flush=True); time.sleep(60)" if imported else "",
        command="main" if imported else "errors.exit_on_error(main)",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets programs in the background ignore it, and tests may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)  # its threads go on for 60 s
    finally:
        process.kill()
    assert process.returncode == status
    assert said == ("interrupted\n" if number == signal.SIGINT else "")


def test_an_interrupt_in_a_callback_of_jax_ends_a_program():
    text = (
        "import signal\nfrom infinitygan_jax.cli import errors\n"
        "def _xla_gc_callback():\n"
        "    try:\n        signal.raise_signal(signal.SIGINT)\n"
        "    except BaseException:\n        print('lost')\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "errors.run(_xla_gc_callback)"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


_TALKATIVE = """
import os, sys
from infinitygan_jax.cli import errors
from infinitygan_jax.messages import UserError

def main():
    made = open("made", "wb")
    for number in range(2000):
        print("a line that fills the pipe", number, flush=number % 7 == 0)
        print("and one of another kind", number, file=sys.stderr)
    os.write(2, b"by a library")
    made.write(b"whole")
    made.close()

errors.run(errors.exit_on_error(main))
"""


@pytest.mark.parametrize(
    "streams", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-", "| true", "2>&1 | true"]
)
def test_what_is_made_is_made_whoever_listens(tmp_path, streams):
    (tmp_path / "talk.py").write_text(_TALKATIVE)
    shell = f'set -o pipefail; "{sys.executable}" talk.py {streams}'
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr and "Exception" not in done.stderr
    assert (tmp_path / "made").read_bytes() == b"whole"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_behind_what_is_printed_is_one_line(buffered):
    text = (
        "from infinitygan_jax.cli import errors\n"
        "errors.run(errors.exit_on_error(lambda: print('a line')))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", text],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert (
        done.stderr.startswith("error: No space left") and done.stderr.count("\n") == 1
    )


def test_a_program_that_ends_by_itself_is_ended_by_python():
    errors.run(lambda: None)
    with pytest.raises(SystemExit, match="2"):
        errors.run(lambda: sys.exit(2))


def test_an_interrupt_exits_with_130(capsys):
    assert run(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    "error", [TypeError("a"), KeyError("b"), AssertionError("c"), ValueError("d")]
)
def test_bugs_keep_their_traceback(error):
    @errors.exit_on_error
    def main():
        raise error

    with pytest.raises(type(error)):
        main()


def test_mistakes_keep_their_traceback_on_request(monkeypatch):
    monkeypatch.setenv("INFINITYGAN_TRACEBACK", "1")

    @errors.exit_on_error
    def main():
        raise UserError("size (0) must be above 0")

    with pytest.raises(ValueError, match="must be above 0"):
        main()


def test_arguments_and_result_pass_through():
    @errors.exit_on_error
    def main(first, *, second):
        return first + second

    assert main(1, second=2) == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sise", "3"], r"unknown option --sise; the nearest is --size"),
        (["--sise=3"], r"unknown option --sise; the nearest is --size"),
        (["--foo", "3"], r"unknown option --foo; --help lists the options"),
        (["--siz", "3"], r"unknown option --siz; the nearest is --size"),
        (["--qqqqqq"], r"unknown option --qqqqqq; --help lists the options"),
        (
            ["--size=1", "stray"],
            r"unexpected argument 'stray'; --help lists the options",
        ),
        ([], r"required: --size; --help lists the options"),
        (["--size"], r"--size: expected one argument; --help lists the options"),
        (
            ["--size", "x"],
            r"^--size \('x'\) must be a whole number; write it in up to 20 digits",
        ),
        (["--size", "1.5"], r"^--size \('1.5'\) must be a whole number"),
        (["--size", "9" * 5000], r"^--size \('9+'\) must be a whole number"),
        (["--size", "9" * 25], r"^--size \('9+'\) must be a whole number"),
        (["--rate", "x"], r"^--rate \('x'\) must be a number"),
        (["--si", "3"], r"unknown option --si; the nearest is --size"),
    ],
)
def test_usage_errors_are_value_errors_of_one_line(argv, message):
    parser = errors.ArgumentParser(prog="paint")
    # One is required: what is unknown is named before what is missing.
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--out")
    with pytest.raises(ValueError, match=message) as error_info:
        parser.parse_args(argv)
    assert "\n" not in str(error_info.value)


def test_known_options_are_parsed():
    parser = errors.ArgumentParser(prog="paint")
    parser.add_argument("--size", type=int)
    for number in (3, -3, 2**64):
        assert parser.parse_args([f"--size={number}"]).size == number


def test_negative_numbers_are_values_of_options_that_take_one():
    parser = errors.ArgumentParser(prog="paint")
    parser.add_argument("--from")
    parser.add_argument("--via", action="append")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--loop", action="store_true")
    words = "--from -8,2 --via -1,0 --via=-2,0 --seeds -3 -4 --loop"
    values = vars(parser.parse_args(words.split()))
    assert values == {
        "from": "-8,2",
        "via": ["-1,0", "-2,0"],
        "seeds": [-3, -4],
        "loop": True,
    }
    with pytest.raises(UserError, match="unknown option -1,0"):
        parser.parse_args(["--loop", "-1,0"])


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_a_stop_that_was_lost_is_raised_again(number, error):
    former = signal.signal(number, signal.SIG_DFL)
    with errors.stoppable() as stop_if_asked:
        stop_if_asked()
        with contextlib.suppress(error):
            signal.raise_signal(number)
        with pytest.raises(error):
            stop_if_asked()
    assert signal.signal(number, former) == signal.SIG_DFL


def test_an_ignored_interrupt_stays_ignored():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with errors.stoppable() as stop_if_asked:
            signal.raise_signal(signal.SIGINT)
            stop_if_asked()
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)


def test_an_interrupt_in_a_callback_of_jax_is_raised_when_asked():
    """There, Python would show it with a traceback and forget it."""

    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)

    # As in the foreground, wherever the tests run.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with errors.stoppable() as stop_if_asked:
            _xla_gc_callback()
            with pytest.raises(KeyboardInterrupt):
                stop_if_asked()
    finally:
        signal.signal(signal.SIGINT, former)
