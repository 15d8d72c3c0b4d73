"""Every file under ``configs/`` gives valid settings, and so does its ``:runlocal``."""

import importlib
import pathlib

import pytest

from infinitygan_jax import config as settings
from infinitygan_jax.training.step import check_devices

FOLDER = pathlib.Path(__file__).parents[1] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def get(name, arg=""):
    return importlib.import_module(f"configs.{name}").get_config(arg)


def test_the_files_are_these():
    kinds = ("detail", "hr", "lite", "ur")
    landscapes = ["landscape", *(f"landscape_{kind}" for kind in kinds)]
    assert [*landscapes, "maps"] == NAMES


def test_a_small_landscape_is_as_tall_as_its_photographs():
    config = settings.from_mapping(get("landscape_lite"))
    more = config.data.full_size - config.model.patch_size
    assert config.model.vertical_starts == 1 + more / config.model.cell_size


@pytest.mark.parametrize("arg", ["", "runlocal"])
@pytest.mark.parametrize("name", NAMES)
def test_each_gives_whole_settings_under_its_own_name(name, arg):
    config = settings.from_mapping(get(name, arg))
    assert config.name == (f"{name}_{arg}" if arg else name)
    assert config.train.batch_size % config.model.stddev_group == 0


@pytest.mark.parametrize(
    ("name", "full_size", "patch_size", "num_steps"),
    # docs/model.md, section 8: full training image, patch, steps.
    [
        ("landscape", 197, 101, 800_000),
        ("landscape_hr", 773, 389, 1_600_000),
        ("landscape_ur", 1024, 773, 1_600_000),
        ("maps", 197, 101, 800_000),
    ],
)
def test_paper_sizes(name, full_size, patch_size, num_steps):
    config = settings.from_mapping(get(name))
    assert config.data.full_size == full_size
    assert config.model.patch_size == patch_size
    assert config.train.num_steps == num_steps
    assert config.train.batch_size == config.model.stddev_group == 16
    model = config.model
    assert (model.z_global_size, model.z_local_size) == (512, 256)
    assert model.mapping_layers == 8
    assert model.texture_widths == (512, 512, 512, 512, 256, 128, 64, 32)


def test_only_the_paper_landscape_reduces_its_pictures_first():
    # docs/model.md, section 8: reduced to 128, then enlarged to 197; HR and UR are not.
    sizes = {name: settings.from_mapping(get(name)).data.pre_size for name in NAMES}
    assert sizes == {name: 128 if name == "landscape" else 0 for name in NAMES}


@pytest.mark.parametrize("arg", ["", "runlocal"])
def test_maps_know_no_up_direction(arg):
    config = settings.from_mapping(get("maps", arg))
    assert config.model.coords == "plane"
    assert config.train.coords_weight == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_runlocal_is_small_and_of_the_same_kind(name):
    full = settings.from_mapping(get(name))
    local = settings.from_mapping(get(name, "runlocal"))
    assert local.data.source == "generated:32"
    assert local.model.patch_size <= 29
    assert max(local.model.texture_widths + local.model.discriminator_widths) <= 16
    assert (local.train.batch_size, local.model.stddev_group) == (16, 4)
    for num_devices in (1, 2, 4, 8):
        check_devices(local, num_devices)
    assert local.train.num_steps <= 16
    assert local.model.coords == full.model.coords
    assert local.train.augment == full.train.augment
    assert local.train.coords_weight == full.train.coords_weight
    assert (local.train.in_a_hurry, full.train.in_a_hurry) == (True, False)
    assert bool(local.data.pre_size) == bool(full.data.pre_size)
    # All four kinds of step, and a checkpoint, come up.
    train = local.train
    for period in (train.r1_every, train.path_every, train.save_every):
        assert period < train.num_steps


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_variant_names_the_known_one(name):
    message = f"'big' of configs/{name}.py; use :runlocal"
    with pytest.raises(ValueError, match=message):
        get(name, "big")
