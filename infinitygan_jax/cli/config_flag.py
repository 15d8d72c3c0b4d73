"""``--config=FILE[:VARIANT] --config.group.name=value`` and other flags of a command.

The values are read by ``ml_collections.config_flags``; around it, every kind of mistake
becomes a ``UserError`` of one line.
"""

import importlib.util
import pathlib
import sys
from collections.abc import Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags

from infinitygan_jax import config as settings
from infinitygan_jax import settings as settings_lib
from infinitygan_jax.cli import errors, parameters
from infinitygan_jax.messages import UserError, nearest, one_line

PREFIX = "config."
_MOST_NAMED = 10  # files in a message


def parse_config(
    argv: Sequence[str], flag_values: flags.FlagValues | None = None
) -> tuple[settings.Config, flags.FlagValues]:
    """Settings and parsed flags of a command line.

    Args:
      argv: the command line; the first entry is the program's name, as in ``sys.argv``.
      flag_values: the command's other flags, defined but not parsed (a ``FlagValues``
        of its own, not the global one, so that it can be parsed again). ``None``: none.

    Returns:
      The settings, with the command line's overrides, and ``flag_values``, parsed.

    Raises:
      ValueError: no ``--config`` or an unreadable one, an unknown variant, setting or
        flag, or a value of the wrong type or that breaks a rule.
      SystemExit: status 0, after ``--help`` has printed the flags and settings.
    """
    flag_values = flags.FlagValues() if flag_values is None else flag_values
    own = {name: f"--{name}" for name in flag_values}
    of_settings = {
        name: f"--{PREFIX}{name}"
        for name in settings_lib.setting_types(settings.Config)
    }
    parameters.declare(own | of_settings)
    try:
        arguments = flag_values.read_flags_from_files(argv[1:], force_gnu=False)
    except flags.Error as error:
        raise UserError(one_line(error)) from error
    if {"--help", "-h"} & set(arguments):
        _print_help(argv[0], flag_values)
        raise SystemExit(0)
    path, overrides, others = _split(arguments)
    path = _packaged(path)
    _check_file(path)

    config_argv = [f"--config={path}"]
    config_argv += [f"--{PREFIX}{name}={value}" for name, value in overrides]
    config_values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", flag_values=config_values, sys_argv=[argv[0], *config_argv]
    )
    sys.modules.pop("config_config", None)  # or config_flags adds to the last file's
    try:
        config_values([argv[0], *config_argv])
    except AttributeError as error:
        if error.name != "get_config":
            raise
        raise UserError(f"config ({path}) has no get_config()") from error
    except (flags.Error, SyntaxError) as error:
        raise UserError(_explain(error, path, dict(overrides))) from error
    if not isinstance(config_values.config, ml_collections.ConfigDict):
        raise UserError(f"config ({path}): get_config() must return a ConfigDict")
    config = settings.from_mapping(config_values.config)

    try:
        rest = flag_values([argv[0], *others])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(_unknown_flag(error.flagname, flag_values)) from error
    except flags.Error as error:
        raise UserError(one_line(error)) from error
    if rest:
        raise UserError(errors.unknown_option(rest[0], []))
    return config, flag_values


def _split(
    arguments: Sequence[str],
) -> tuple[str, list[tuple[str, str]], list[str]]:
    """The config's path, its overrides (name, value), and all other arguments."""
    types = settings_lib.setting_types(settings.Config)
    path, overrides, others = None, [], []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, has_value, value = argument.partition("=")
        flag = option.lstrip("-") if option.startswith("-") else ""
        negated = flag.startswith("no" + PREFIX)
        name = flag.removeprefix("no").removeprefix(PREFIX)
        if flag != "config" and not negated and not flag.startswith(PREFIX):
            others.append(argument)
            continue
        if flag != "config" and name not in types:
            raise UserError(settings_lib.unknown_name(name, list(types)))
        if flag != "config" and types[name] is bool and not has_value:
            value = "false" if negated else "true"
        elif negated:
            raise UserError(
                f"unknown flag {argument}; write --config.{name}=false or, of a "
                "setting that is a number, =0"
            )
        elif not has_value:
            if not waiting or waiting[0].startswith("--"):
                raise UserError(f"{option} needs a value; write {option}=VALUE")
            value = waiting.pop(0)
        if flag == "config":
            if path is not None:
                raise UserError(
                    f"--config is given twice ({path}, {value}); give one, and change "
                    f"single settings with --{PREFIX}NAME=VALUE"
                )
            path = value
        elif types[name] == tuple[str, ...]:
            overrides.append((name, _quoted(value)))
        else:
            overrides.append((name, value))
    if not path:
        raise UserError("no settings; name a file, as --config=configs/landscape.py")
    return path, overrides, others


def _quoted(value: str) -> str:
    """A list of names, with or without brackets and quotes, as Python writes it.

    "none" is the empty list, as in commands for earlier versions.
    """
    names = [name.strip("'\" ") for name in value.strip("()[] ").split(",")]
    return repr(tuple(name for name in names if name and name != "none"))


def _packaged(path: str) -> str:
    """A file under ``configs/`` as the installed package has it, where there is none.

    Args:
      path: of a file of settings, and perhaps ``:VARIANT``.
    """
    name, colon, variant = path.partition(":")
    file = pathlib.Path(name)
    if file.exists() or file.parent != pathlib.Path("configs"):
        return path
    for folder in _package_folders():
        if (folder / file.name).is_file():
            return f"{folder / file.name}{colon}{variant}"
    return path


def _package_folders() -> list[pathlib.Path]:
    """Where the installed package has its configs; a checkout has none."""
    spec = importlib.util.find_spec("infinitygan_jax.configs")
    folders = spec.submodule_search_locations if spec else ()
    return [pathlib.Path(folder) for folder in folders or ()]


def _packaged_names() -> list[str]:
    """Names of the files of settings that the package has."""
    files = [file for folder in _package_folders() for file in folder.glob("*.py")]
    return sorted(file.name for file in files if _defines(file))


def _check_file(path: str) -> None:
    file = pathlib.Path(path.partition(":")[0])
    if file.is_file():
        return
    folder = file if file.is_dir() else file.parent
    found = {*folder.glob("*.py"), *pathlib.Path("configs").glob("*.py")}
    others = {other.stem: str(other) for other in sorted(found) if _defines(other)}
    for name in _packaged_names():
        others.setdefault(pathlib.Path(name).stem, f"configs/{name}")
    near = nearest(file.stem, others)
    if near:
        remedy = f"the nearest is {others[near]}"
    elif others:
        remedy = "there are " + ", ".join(list(others.values())[:_MOST_NAMED])
    else:
        remedy = "name one, such as configs/landscape.py of the project"
    raise UserError(f"config ({file}) is not a file; {remedy}")


def _defines(file: pathlib.Path) -> bool:
    """Whether a file defines settings, which not all files of Python do."""
    try:
        return "def get_config(" in file.read_text(errors="replace")
    except OSError:
        return False


def _explain(error: BaseException, path: str, overrides: dict[str, str]) -> str:
    """One line for what config_flags raised."""
    message = one_line(error)
    prefix = f"flag --{PREFIX}"
    if message.startswith(prefix):
        name = message.removeprefix(prefix).partition("=")[0]
        if name in overrides:
            kind = settings_lib.setting_types(settings.Config)[name]
            return settings_lib.wrong_type(name, overrides[name], kind)
    # config_flags folds the file's traceback into the message; its cause has less.
    while error.__context__ is not None:
        error = error.__context__
    return f"config ({path}): {one_line(error)}"


def _unknown_flag(name: str, flag_values: flags.FlagValues) -> str:
    """One line for an unknown flag; a setting's bare name leads to the setting."""
    for setting in settings_lib.setting_types(settings.Config):
        if setting.rpartition(".")[2] == name.rpartition(".")[2]:
            return f"unknown option --{name}; the setting is --{PREFIX}{setting}"
    options = [f"--{option}" for option in flag_values]
    return errors.unknown_option(f"--{name}", [*options, "--config"])


def _print_help(program: str, flag_values: flags.FlagValues) -> None:
    print(f"usage: {program} --config=FILE[:VARIANT] [--config.NAME=VALUE ...] [flags]")
    print("flags:")
    for name in flag_values:
        print(f"  --{name}: {flag_values[name].help}")
    print("settings, which infinitygan_jax/config.py explains:")
    for name in settings_lib.setting_types(settings.Config):
        print(f"  --{PREFIX}{name}")
