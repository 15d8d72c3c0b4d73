"""Settings from a command line: overrides of every type, and every kind of mistake."""

import importlib.machinery
import importlib.util
import pathlib

import pytest
from absl import flags

from infinitygan_jax.cli import config_flag

FILE = "--config=configs/landscape.py"


@pytest.fixture(autouse=True)
def _in_the_project(pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)


def other_flags():
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "where to write", flag_values=values)
    flags.DEFINE_integer("num_processes", 1, "how many", flag_values=values)
    return values


def parse(*arguments):
    return config_flag.parse_config(["prog", *arguments], other_flags())


def error_of(*arguments):
    with pytest.raises(ValueError) as error_info:
        parse(*arguments)
    message = str(error_info.value)
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def test_without_overrides_the_file_decides():
    config, values = parse(FILE, "--workdir=runs/a")
    assert config.model.patch_size == 101
    assert config.train.num_steps == 800_000
    assert values.workdir == "runs/a"


def test_a_variant_follows_the_colon():
    assert parse(FILE + ":runlocal")[0].data.source == "generated:32"


@pytest.mark.parametrize(
    ("arguments", "group", "name", "value"),
    [
        (["--config.train.batch_size=32"], "train", "batch_size", 32),
        (["--config.train.batch_size", "32"], "train", "batch_size", 32),
        (["--config.train.learning_rate=1"], "train", "learning_rate", 1.0),
        (["--config.train.learning_rate=1e-4"], "train", "learning_rate", 1e-4),
        (["--config.data.flip=false"], "data", "flip", False),
        (["--config.data.flip=0"], "data", "flip", False),
        (["--noconfig.data.flip"], "data", "flip", False),
        (["--config.data.flip=false", "--config.data.flip"], "data", "flip", True),
        (["--config.data.source=a b=c:d,e"], "data", "source", "a b=c:d,e"),
        (["--config.data.source=tfds:lsun"], "data", "source", "tfds:lsun"),
        (["--config.data.source=12"], "data", "source", "12"),
        (["-config.train.seed=5"], "train", "seed", 5),
        (["--config.train.seed=5", "--config.train.seed=6"], "train", "seed", 6),
    ],
)
def test_overrides_of_each_type(arguments, group, name, value):
    config, _ = parse(FILE, *arguments)
    result = getattr(getattr(config, group), name)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text", ["(32,16,16,8)", "[32, 16, 16, 8]", "32,16,16,8", "(32, 16, 16, 8,)"]
)
def test_tuples_are_written_as_tuples_lists_or_with_commas(text):
    config, _ = parse(FILE, f"--config.model.texture_widths={text}")
    assert config.model.texture_widths == (32, 16, 16, 8)


@pytest.mark.parametrize(
    "text",
    ["color,cutout", "('color', 'cutout')", '["color","cutout"]', "(color,cutout)"],
)
def test_lists_of_names_need_no_brackets_or_quotes(text):
    config, _ = parse(FILE, f"--config.train.augment={text}")
    assert config.train.augment == ("color", "cutout")


@pytest.mark.parametrize("text", ["none", "()", ""])
def test_lists_of_names_may_be_empty(text):
    config, _ = parse(FILE, f"--config.train.augment={text}")
    assert config.train.augment == ()


def test_the_order_of_flags_does_not_matter():
    config, values = parse("--config.train.seed=3", "--workdir", "w", FILE)
    assert config.train.seed == 3
    assert values.workdir == "w"


def test_the_packages_own_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    """Where there is a file of that name, it is that one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "own.py").write_text(
        "from infinitygan_jax import config\n"
        "def get_config(arg=''):\n"
        "    return config.to_config_dict(config.Config(name=f'packaged{arg}'))\n"
    )
    spec = importlib.machinery.ModuleSpec("infinitygan_jax.configs", None)
    spec.submodule_search_locations = [str(tmp_path / "package")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert parse("--config=configs/own.py")[0].name == "packaged"
    assert parse("--config=configs/own.py:x")[0].name == "packagedx"
    (tmp_path / "configs").mkdir()
    text = (tmp_path / "package" / "own.py").read_text()
    (tmp_path / "configs" / "own.py").write_text(text.replace("packaged", "mine"))
    assert parse("--config=configs/own.py")[0].name == "mine"
    with pytest.raises(ValueError, match="is not a file"):
        parse("--config=others/own.py")


def test_flags_may_be_parsed_again():
    assert parse(FILE, "--config.train.seed=3")[0].train.seed == 3
    assert parse(FILE)[0].train.seed == 0


def test_a_flag_file_is_read(tmp_path):
    file = tmp_path / "flags"
    file.write_text(f"{FILE}\n--config.train.seed=4\n--num_processes=2\n")
    config, values = parse(f"--flagfile={file}")
    assert (config.train.seed, values.num_processes) == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["no settings", "--config=configs/landscape.py"]),
        (["--config="], ["no settings", "--config=configs/landscape.py"]),
        (["--config=a.py", "--config", "b.py"], ["given twice", "a.py", "b.py"]),
        (["--config"], ["--config needs a value"]),
        (
            ["--config=configs/landscpe.py"],
            ["configs/landscpe.py", "is not a file", "nearest is configs/landscape.py"],
        ),
        (["--config=nowhere/a.py"], ["nowhere/a.py", "is not a file"]),
        (
            ["--config=configs/nowhere.py"],
            ["is not a file; there are configs/landscape.py, ", "configs/maps.py"],
        ),
        (["--config=maps.py"], ["is not a file; the nearest is configs/maps.py"]),
        (["--config=configs"], ["configs", "is not a file; there are configs/"]),
        (
            [FILE + ":runlcal"],
            ["unknown variant 'runlcal' of configs/landscape.py", "use :runlocal"],
        ),
        (
            [FILE, "--config.model.patch_sise=53"],
            ["unknown setting model.patch_sise", "nearest is model.patch_size"],
        ),
        (
            [FILE, "--config.patch_size=53"],
            ["unknown setting patch_size", "nearest is model.patch_size"],
        ),
        ([FILE, "--config.model={}"], ["unknown setting model"]),
        (
            [FILE, "--config.model.patch_size=abc"],
            ["model.patch_size ('abc') must be a whole number"],
        ),
        (
            [FILE, "--config.train.num_steps=1e5"],
            ["train.num_steps ('1e5') must be a whole number; write it in digits"],
        ),
        (
            [FILE, "--config.train.learning_rate=fast"],
            ["train.learning_rate ('fast') must be a finite number"],
        ),
        (
            [FILE, "--config.train.learning_rate=nan"],
            ["train.learning_rate (nan) must be a finite number"],
        ),
        ([FILE, "--config.data.flip=maybe"], ["data.flip ('maybe') must be true or"]),
        (
            [FILE, "--config.model.texture_widths=(32,"],
            ["model.texture_widths ('(32,') must be a list, such as (64, 32)"],
        ),
        (
            [FILE, "--config.model.texture_widths=(a,b,c,d)"],
            ["model.texture_widths ('(a,b,c,d)') must be a whole number"],
        ),
        (
            [FILE, "--config.model.texture_widths=(8,8,8,0.5)"],
            ["model.texture_widths (0.5) must be a whole number"],
        ),
        (
            [FILE, "--config.train.augment=color,colour"],
            ["train.augment ('colour') must be one of color, translation, cutout"],
        ),
        ([FILE, "--config.train.seed"], ["--config.train.seed needs a value"]),
        (
            [FILE, "--config.train.seed", "--workdir=a"],
            ["--config.train.seed needs a value"],
        ),
        ([FILE, "--noconfig.train.seed"], ["--noconfig.train.seed", "=0"]),
        ([FILE, "--config.model.patch_size=100"], ["(100)", "the nearest is 101"]),
        (
            [FILE, "--config.train.batch_size=0"],
            ["batch_size (0) must be above 0; use 1"],
        ),
        ([FILE, "--config.train.batch_size=-4"], ["(-4) must be above 0"]),
        (
            [FILE, "--worksdir=a"],
            ["unknown option --worksdir", "the nearest is --workdir"],
        ),
        (
            [FILE, "--patch_size=53"],
            ["unknown option --patch_size", "--config.model.patch_size"],
        ),
        ([FILE, "--num_processes=two"], ["--num_processes=two"]),
        ([FILE, "--workdir"], ["workdir"]),
        ([FILE, "stray"], ["unexpected argument 'stray'"]),
        ([FILE, "--config.data.flip", "false"], ["unexpected argument 'false'"]),
        (["--flagfile=nowhere"], ["nowhere"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(arguments, parts):
    message = error_of(*arguments)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("def get_config(:", "invalid syntax"),
        ("def get_config():\n  raise ValueError('too\\nbad')", "too bad"),
        ("def get_config():\n  return 3", "must return a ConfigDict"),
        ("value = 3", "has no get_config()"),
    ],
)
def test_a_faulty_file_is_one_line(tmp_path, text, part):
    file = tmp_path / "faulty.py"
    file.write_text(text)
    assert part in error_of(f"--config={file}")


def test_where_no_settings_lie_the_project_s_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run_train.py").write_text("from other import main")
    with monkeypatch.context() as patch:
        patch.setattr(config_flag, "_package_folders", list)  # not installed
        message = error_of("--config=nowhere.py")
    assert message.endswith("; name one, such as configs/landscape.py of the project")
    package = [pathlib.Path(__file__).parents[2] / "configs"]
    monkeypatch.setattr(config_flag, "_package_folders", lambda: package)
    assert "there are configs/landscape.py, " in error_of("--config=nowhere.py")
    assert error_of("--config=configs/maps_.py").endswith("nearest is configs/maps.py")


def test_a_file_with_unknown_settings_names_the_nearest(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(
        "import ml_collections\n\ndef get_config():\n"
        "  return ml_collections.ConfigDict({'train': {'bach_size': 4}})"
    )
    assert "nearest is train.batch_size" in error_of(f"--config={file}")


def test_help_lists_flags_and_settings(capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse("--help")
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert "--workdir: where to write" in out
    assert "--config.model.patch_size" in out
