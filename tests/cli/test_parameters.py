"""Messages of the package name parameters, which commands turn into options."""

import logging

import pytest

from infinitygan_jax.cli import config_flag, errors, parameters, train
from infinitygan_jax.messages import UserError
from infinitygan_jax.training import loop

CONFIG = "--config=configs/landscape_lite.py:runlocal"


def _printed(capsys, message, *arguments):
    """What a command with a few options says of a mistake."""

    @errors.exit_on_error
    def main(argv):
        parser = errors.ArgumentParser(prog="paint")
        parser.add_argument("out", metavar="OUT.png")
        parser.add_argument("--from", dest="level")
        parser.add_argument("-t", "--tile")
        parser.add_argument("--overwrite", action="store_true")
        parser.parse_args(argv)
        raise UserError(message)

    with pytest.raises(SystemExit):
        main(["a.png", *arguments])
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("use a smaller `tile_size`", "use a smaller --tile"),
        ("add `overwrite` to replace it", "add --overwrite to replace it"),
        # As it is typed, whatever the parser calls it.
        ("give `level` 1, or more", "give --from 1, or more"),
        ("choose another `path`", "choose another OUT.png"),
        # The command has no such option, or nobody has.
        ("use another `workdir`, or `every`", "use another workdir, or every"),
        ("set `train.coords_weight`=0", "set train.coords_weight=0"),
        # Another command has.
        ("write one with `Document.save`", "write one with --save_world"),
        # Nobody's parameter, but a file's name.
        ("file (a`b`.png) exists, `", "file (a`b`.png) exists, `"),
    ],
)
def test_a_command_prints_parameters_as_its_options(capsys, message, line):
    assert _printed(capsys, message) == f"error: {line}\n"


def test_options_are_those_of_the_command_that_runs(capsys):
    _printed(capsys, "")

    @errors.exit_on_error
    def without():
        raise UserError("use a smaller `tile_size`")

    with pytest.raises(SystemExit):
        without()
    assert capsys.readouterr().err == "error: use a smaller tile_size\n"


def test_errors_of_the_system_and_in_python_keep_their_words(capsys, monkeypatch):
    @errors.exit_on_error
    def main(error):
        raise error

    with pytest.raises(SystemExit):
        main(FileNotFoundError(2, "No such file", "`path`"))
    assert capsys.readouterr().err == "error: `path`: No such file\n"
    monkeypatch.setenv("INFINITYGAN_TRACEBACK", "1")
    with pytest.raises(UserError, match="a smaller `tile_size`"):
        main(UserError("use a smaller `tile_size`"))


def test_training_says_flags_and_settings(capsys, monkeypatch, tmp_path):
    def refuse(config, workdir, amend):
        logging.getLogger("infinitygan_jax").info("more `train.num_steps`, `amend`")
        raise UserError("set `data.source`, or use another `workdir`")

    monkeypatch.setattr(loop, "train", refuse)
    with pytest.raises(SystemExit):
        train.main(["run_train.py", CONFIG, f"--workdir={tmp_path}"])
    said, mistake = capsys.readouterr().err.splitlines()
    assert said.endswith(" more --config.train.num_steps, --amend")
    assert mistake == "error: set --config.data.source, or use another --workdir"


def test_settings_that_are_refused_while_they_are_read_are_named_as_flags():
    with pytest.raises(UserError):
        config_flag.parse_config(["run_train.py", CONFIG, "--config.model.coords=no"])
    assert parameters.as_options("`model.coords`") == "--config.model.coords"
