"""Messages of the package name parameters, which commands turn into options."""

import ast
import functools
import importlib
import logging
import pathlib
import re

import pytest

from infinitygan_jax import config, settings
from infinitygan_jax.cli import config_flag, errors, parameters, train, verbs
from infinitygan_jax.messages import UserError
from infinitygan_jax.training import loop

CONFIG = "--config=configs/landscape_lite.py:runlocal"
PACKAGE = pathlib.Path(config.__file__).parent


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


@functools.cache
def _outside_commands():
    """The package's files but for commands, parsed, by their names."""
    files = [p for p in PACKAGE.rglob("*.py") if PACKAGE / "cli" not in p.parents]
    return {str(p.relative_to(PACKAGE)): ast.parse(p.read_text("utf-8")) for p in files}


def _texts(tree):
    """All texts of a file, docstrings included, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _docstrings(tree):
    """Lines where docstrings begin."""
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    found = [node.body[:1] for node in ast.walk(tree) if isinstance(node, kinds)]
    first = [each[0] for each in found if each]
    return {node.value.lineno for node in first if isinstance(node, ast.Expr)}


def _named():
    """Where messages name something in backticks: (place, text), by that name."""
    found = {}
    for file, tree in _outside_commands().items():
        documented = _docstrings(tree)
        for line, text in _texts(tree):
            if line not in documented and "`" in text:
                for name in re.findall("`([^`]*)`?", text):
                    found.setdefault(name, []).append((f"{file}:{line}", text))
    return found


def _options():
    """Names of all commands' options, as parsers have them."""
    names = set(train._define_flags())
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "declare", asked.append)
        for verb in verbs.VERBS.keys() - {"train"}:
            with pytest.raises(SystemExit):
                importlib.import_module(f"infinitygan_jax.cli.{verb}").main(["--help"])
    return names.union(*asked)


def test_nothing_outside_commands_speaks_of_options():
    """Whoever calls the package's functions has none."""
    trees = _outside_commands()
    assert "sampling/costs.py" in trees
    found = [
        f"{file}:{line}: {text}"
        for file, tree in trees.items()
        for line, text in _texts(tree)
        if re.search(r"(?<!\w)--[a-z]", text)
    ]
    assert found == []


def test_messages_name_parameters_that_commands_know():
    names = _named()
    known = parameters.PARAMETERS.keys() | settings.setting_types(config.Config)
    assert {name: names[name] for name in names if name not in known} == {}
    # And none that no message names any more.
    assert parameters.PARAMETERS.keys() - names == set()


def test_messages_name_parameters_that_functions_have():
    arguments, methods = set(), set()
    for tree in _outside_commands().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                arguments.add(node.arg)
            elif isinstance(node, ast.ClassDef):
                inside = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                methods.update(f"{node.name}.{each.name}" for each in inside)
                fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
                arguments.update(each.target.id for each in fields)
    assert parameters.PARAMETERS.keys() <= arguments | methods


def test_parameters_are_options_of_some_command(capsys):
    options = _options()
    assert {"level", "workdir", "steps"} <= options
    known = {option.removeprefix("--") for option in parameters.PARAMETERS.values()}
    assert known <= options
