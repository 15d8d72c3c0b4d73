"""Settings: impossible values are errors; mappings and ConfigDicts come back whole."""

import dataclasses
import json

import ml_collections
import pytest

from infinitygan_jax import config, geometry, settings
from infinitygan_jax.config import Config, DataConfig, ModelConfig, TrainConfig


@pytest.mark.parametrize(
    ("patch_size", "num_stages", "num_slots", "log2_size"),
    [
        # round(log2(patch)): 6.66, 7.62, 8.60, 9.59 and 10.59; docs/model.md, section
        # 6.1. Slots are convolutions + 1 = 2k + 1; docs/model.md, section 4.4.
        (101, 4, 9, 7),
        (197, 5, 11, 8),
        (389, 6, 13, 9),
        (773, 7, 15, 10),
        (1541, 8, 17, 11),
    ],
)
def test_every_patch_of_the_paper_and_beyond_has_default_widths(
    patch_size, num_stages, num_slots, log2_size
):
    model = ModelConfig(patch_size=patch_size)
    assert model.num_stages == num_stages
    assert model.num_slots == num_slots
    assert model.discriminator_log2_size == log2_size
    assert model.cell_size == 2**num_stages
    assert len(model.discriminator_widths) >= log2_size - 1


def test_discriminator_channels_by_size_are_those_of_the_page():
    # docs/model.md, section 6.1: 512 up to 64, 128: 256, 256: 128, 512: 64, 1024: 32.
    widths = ModelConfig().discriminator_widths
    sizes = [4 * 2**i for i in range(len(widths))]
    by_size = dict(zip(sizes, widths, strict=True))
    assert [by_size[size] for size in (4, 8, 16, 32, 64)] == [512] * 5
    assert [by_size[size] for size in (128, 256, 512, 1024)] == [256, 128, 64, 32]


def test_landscapes_have_three_coordinates_and_planes_four():
    assert ModelConfig().num_coords == 3
    assert ModelConfig(coords="plane").num_coords == 4


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (
            ModelConfig,
            {"vertical_starts": 1},
            r"vertical_starts \(1\) must be 2 or more",
        ),
        (ModelConfig, {"patch_size": 100}, r"\(100\) must be .*; the nearest is 101"),
        (
            ModelConfig,
            {"z_global_size": 0},
            r"above 0; use 1 or more",
        ),
        (ModelConfig, {"texture_widths": (8, 0, 8, 8)}, r"texture_widths .* above 0"),
        (
            ModelConfig,
            {"texture_widths": (8, 8)},
            r"\(8, 8\) .* 4 .* has 2; add 2",
        ),
        (ModelConfig, {"discriminator_widths": (8,)}, r"needs at least 6 entries"),
        (ModelConfig, {"coords": "round"}, r"one of landscape, plane"),
        (ModelConfig, {"dtype": "float16"}, r"one of float32, bfloat16"),
        (DataConfig, {"full_size": -1}, r"data.full_size \(-1\) must be above 0"),
        (DataConfig, {"pre_size": -1}, r"\(-1\) must be at least 0; use 0 or more"),
        (TrainConfig, {"batch_size": 5}, r"batch_size \(5\) must be even.*use 6"),
        (TrainConfig, {"batch_size": 0}, r"train.batch_size \(0\) must be above 0"),
        (TrainConfig, {"learning_rate": 0.0}, r"above 0; use a number such as 0.002"),
        (TrainConfig, {"seed": -1}, r"train.seed \(-1\) .* at least 0; use 0 or more"),
        (TrainConfig, {"style_mixing": 1.5}, r"style_mixing \(1.5\) is a probability"),
        (TrainConfig, {"path_batch_shrink": 3}, r"must divide train.batch_size \(16\)"),
        (
            TrainConfig,
            {"augment": ("all",)},
            r"'all'.* one of color, translation, cutout",
        ),
        (
            TrainConfig,
            {"augment": ("color",) * 2},
            r"\(color, color\).* remove one color",
        ),
        (TrainConfig, {"diversity_form": "l2"}, r"one of l1, angular_distance"),
        (TrainConfig, {"distance_weight": -1.0}, r"distance_weight \(-1.0\) .* 0 or"),
        (TrainConfig, {"r1_every": 0}, r"train.r1_every \(0\) must be above 0"),
    ],
)
def test_impossible_values_are_errors(cls, values, message):
    with pytest.raises(ValueError, match=message):
        cls(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"coords_weight": 0.0},
        {"diversity_weight": 0.0},
        {"r1_weight": 0.0},
        {"path_weight": 0.0},
        {"distance_weight": 0.0},
        {"distance_rampup": 0},
        {"style_mixing": 0.0},
        {"sheet_every": 0},
        {"num_steps": 0},
        {"seed": 0},
    ],
)
def test_what_may_be_switched_off_takes_a_zero(values):
    (name, value) = next(iter(values.items()))
    assert getattr(TrainConfig(**values), name) == value


def test_a_patch_cannot_be_larger_than_the_picture():
    with pytest.raises(ValueError, match=r"data.full_size \(100\) .* use 101 or more"):
        Config(data=DataConfig(full_size=100))


def test_a_distance_of_features_needs_the_network_that_has_them():
    with pytest.raises(ValueError, match=r"train.distance_weight \(2.0\) must be 0"):
        Config(train=TrainConfig(distance_weight=2.0))


def odd_config():
    return Config(
        name="odd",
        model=ModelConfig(patch_size=29, texture_widths=(8, 4), coords="plane"),
        data=DataConfig(source="tfds:some", full_size=60, pre_size=0, flip=False),
        train=TrainConfig(
            batch_size=4,
            learning_rate=0.5,
            augment=("color", "cutout"),
            coords_weight=0.0,
        ),
    )


def test_a_config_dict_gives_the_same_settings_back():
    for original in (Config(), odd_config()):
        config_dict = config.to_config_dict(original)
        assert isinstance(config_dict, ml_collections.ConfigDict)
        assert config.from_mapping(config_dict) == original


def test_json_gives_the_same_settings_back():
    text = json.dumps(settings.to_dict(odd_config()))
    assert config.from_mapping(json.loads(text)) == odd_config()


@pytest.mark.parametrize(("former", "now"), [("none", ()), ("color", ("color",))])
def test_changes_are_read_as_earlier_versions_stored_them(former, now):
    assert config.from_mapping({"train": {"augment": former}}).train.augment == now


def test_absent_settings_are_the_defaults():
    assert config.from_mapping({}) == Config()
    assert config.from_mapping({"train": {"seed": 3}}).train == TrainConfig(seed=3)


def test_whole_numbers_are_taken_where_fractions_may_stand():
    result = config.from_mapping({"train": {"learning_rate": 1}}).train.learning_rate
    assert result == 1.0
    assert type(result) is float


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"modle": {}}, r"unknown setting modle; the nearest is model"),
        ({"qq": 1}, r"unknown setting qq; valid are name, model, detail, data, train"),
        ({"train": {"bach": 2}}, r"unknown setting train.bach; the nearest is"),
        ({"train": 3}, r"\(3\) must be a group of settings; name each with its value"),
        ({"train": {"seed": 1.5}}, r"seed \(1.5\) must be a whole number; write it in"),
        ({"train": {"seed": True}}, r"train.seed \(True\) must be a whole number"),
        ({"train": {"seed": None}}, r"train.seed \(None\) must be a whole number"),
        ({"train": {"learning_rate": True}}, r"\(True\) must be a finite number"),
        (
            {"train": {"learning_rate": float("inf")}},
            r"\(inf\) .*; write it in",
        ),
        ({"data": {"flip": 1}}, r"\(1\) must be true or false; use one"),
        ({"data": {"source": 1}}, r"\(1\) must be a text; put it in quotes"),
        (
            {"train": {"augment": "all"}},
            r"\('all'\) must be a list, such as \('color',\)",
        ),
        ({"model": {"texture_widths": 8}}, r"\(8\) must be a list.*; use brackets"),
        ({"model": {"texture_widths": [8, "a"]}}, r"\('a'\) must be a whole number"),
    ],
)
def test_unknown_names_and_wrong_types_are_errors(mapping, message):
    with pytest.raises(ValueError, match=message):
        config.from_mapping(mapping)


def test_every_setting_is_listed_with_its_type():
    types = settings.setting_types(config.Config)
    assert types["model.patch_size"] is int
    assert types["name"] is str
    groups = (ModelConfig, config.DetailConfig, DataConfig, TrainConfig)
    assert len(types) == 1 + sum(len(dataclasses.fields(group)) for group in groups)


def test_differences_name_both_values():
    first = Config()
    model = dataclasses.replace(first.model, patch_size=geometry.patch_size_of(5))
    train = dataclasses.replace(first.train, seed=4)
    second = dataclasses.replace(first, model=model, train=train)
    assert settings.differences(first, first) == []
    assert settings.differences(first, second) == [
        "model.patch_size: 101 -> 197",
        "train.seed: 0 -> 4",
    ]
