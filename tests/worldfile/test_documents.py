"""World files: what they say is painted, and what they must not say is one line."""

import dataclasses
import functools
import json
import os
import pathlib
import random
import re

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.config import PAINTING
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling import world as world_lib
from infinitygan_jax.sampling.edits.pin import Pin
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.inputs import MAX_STREAMS
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.painter import Painter
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Between, Chain, Constant, Seed, Site, Sites
from infinitygan_jax.sampling.world import World
from infinitygan_jax.training.stored import load_bundle
from infinitygan_jax.worldfile import checked, documents, entries
from infinitygan_jax.worldfile.documents import Document
from tests.inversion import small
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[2]
SEED = 11
WINDOW = (slice(-32, 32), slice(0, 96))
RESAMPLE = {"edit": "resample", "rectangle": [0, 40, 12, 12], "seed": 5}
STYLE = {"edit": "style", "rectangle": [-8, 8, 8, 12], "style": 9, "feather": 4}
STYLE_12 = STYLE | {"rectangle": [0, 0, 12, 12]}
PLACE = {"edit": "place", "inversion": "house.npz", "at": [0, 60], "feather": 8}


@functools.lru_cache
def _bundle():
    return bundle_lib.Bundle(tiny.CONFIG, small.params())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a map, a mask and an inversion."""
    path = tmp_path_factory.mktemp("world")
    levels = np.zeros((16, 24), np.uint8)
    levels[:, 12:] = 200
    PIL.Image.fromarray(levels).save(path / "map.png")
    mask = np.zeros((12, 12), np.uint8)
    mask[:, 4:] = 255
    PIL.Image.fromarray(mask).save(path / "mask.png")
    mask[...] = 127
    PIL.Image.fromarray(mask).save(path / "none.png")
    mask[1, 1] = 255  # neither a cell's middle nor its corner
    PIL.Image.fromarray(mask).save(path / "dot.png")
    dataclasses.replace(small.true_inversion(), digest=_bundle().digest).save(
        path / "house.npz"
    )
    return path


def _document(folder, **values):
    return Document("tiny", _bundle().digest, {"seed": SEED, **values}, folder)


def _world(document, **options):
    return document.world(_bundle(), tile_size=32, **options)


def _picture(document):
    return _world(document)[WINDOW]


def _painted(scene=Scene(), **options):  # noqa: B008
    options = {"seed": SEED, "tile_size": 32, "scene": scene} | options
    return World(tiny.MODEL, small.params(), **options)[WINDOW]


def _sites(*places):
    return {
        "kind": "sites",
        "sites": [{"style": s, "at": list(at)} for s, at in places],
    }


STYLES = {
    "one": ({"kind": "one", "style": 2}, Constant(Seed(2))),
    "sites": (
        _sites((1, (0, 0)), (2, (30, 40))),  # 50 px apart
        Sites((Site(0, 0, 0, 0), Site(30, 30, 40, 40)), (Seed(1), Seed(2)), 50.0),
    ),
    "chain": (
        {"kind": "chain", "styles": [1, 2], "every": 40, "start": 8, "blend": 20},
        Chain((Seed(1), Seed(2)), 40, 20.0, 8),
    ),
}


@pytest.mark.parametrize("name", STYLES)
def test_styles_are_those_that_it_says(folder, name):
    entry, field = STYLES[name]
    document = _document(folder, styles=entry)
    world = _world(document)
    assert world.scene.styles == field
    assert world.seed == SEED
    if name == "chain":
        np.testing.assert_array_equal(world[WINDOW], _painted(Scene(styles=field)))


def test_a_style_between_two_seeds_is_neither_and_ends_are_the_seeds(folder):
    def picture(style):
        return _picture(_document(folder, **_one(style)))

    ends = [picture({"between": [1, 2], "share": share}) for share in (0, 1)]
    for seed, end in zip((1, 2), ends, strict=True):
        np.testing.assert_array_equal(end, picture(seed))
    style = {"between": [1, 2], "share": 0.25}
    expected = Scene(styles=Constant(Between(1, 2, 0.25)))
    np.testing.assert_array_equal(picture(style), _painted(expected))
    for end in ends:
        assert np.abs(picture(style).astype(int) - end).max() > 10
    pinned = _world(_document(folder, edits=[STYLE | {"style": style}]))
    assert pinned.scene.edits[0].source == Between(1, 2, 0.25)


def test_latents_between_two_seeds_are_neither_and_ends_are_the_seeds(folder):
    """Beside the style, which stays that of the world's seed."""

    def picture(**latents):
        latents = {"between": [1, 2], "share": 0.25} | latents
        return _picture(_document(folder, latents=latents))

    style = Constant(Seed(SEED))
    for share, seed in ((0, 1), (1, 2)):
        end = _painted(Scene(style), seed=seed)
        np.testing.assert_array_equal(picture(share=share), end)
        assert np.abs(picture().astype(int) - end).max() > 10
    for noise in (True, False):
        expected = _painted(Scene(mix=Mix(1, 2, 0.25, noise)))
        np.testing.assert_array_equal(picture(noise=noise), expected)
    assert (picture(noise=False) != picture()).any()


def test_all_settings_of_the_world_are_read(folder):
    values = {"horizon": 7, "vertical_span": 90, "period": [64, None], "octaves": 3}
    painting = {"truncation": 0.5, "noise_scale": 0.25}
    world = _world(_document(folder, **values, **painting))
    assert (world.horizon, world.vertical_span) == (7, 90)
    assert world.period == (64, None)
    assert world.scene == Scene(octaves=3, truncation=0.5, noise_scale=0.25)


@pytest.mark.parametrize("kind", ["map", "biomes"])
def test_large_fields_show(folder, kind):
    entry = {"kind": "biomes", "every": 48}
    if kind == "map":
        rectangle = [-32, 0, 64, 96]
        entry = {"kind": "map", "file": "map.png", "styles": [1, 2]}
        entry |= {"rectangle": rectangle, "blend": 8}
    world = _world(_document(folder, styles=entry))
    picture = world[WINDOW]
    assert np.abs(picture.astype(int) - _painted()).max() > 20
    if kind == "map":  # the left is the darker level's, the first style's
        axes = world._painter._editor.cell_axes
        weights = world.scene.styles.at(*axes(Tile(0, -9)))
        assert weights.sources == (Seed(1),)
        assert world.scene.styles.at(*axes(Tile(0, 9))).sources == (Seed(2),)
    else:
        assert world.scene.styles.seed == SEED
        assert world.scene.styles.blend == 24


def test_edits_are_those_that_it_says(folder):
    document = _document(folder, edits=[RESAMPLE, STYLE])
    edits = (
        Resample(Region(0, 40, 12, 12), 5),
        Pin(Region(-8, 8, 8, 12), Seed(9), 4),
    )
    np.testing.assert_array_equal(_picture(document), _painted(Scene(edits=edits)))


def test_a_mask_chooses_a_part(folder):
    masked = _world(_document(folder, edits=[{**RESAMPLE, "mask": "mask.png"}]))
    mask = masked.scene.edits[0].region.mask
    assert mask.tolist() == [[False] * 4 + [True] * 8] * 12
    right = {**RESAMPLE, "rectangle": [0, 44, 12, 8]}
    np.testing.assert_array_equal(
        masked[WINDOW], _picture(_document(folder, edits=[right]))
    )


def test_an_undone_edit_gives_the_former_bytes(folder):
    kept = [RESAMPLE, STYLE]
    before = _picture(_document(folder, edits=kept))
    for extra in (STYLE | {"style": 3, "rectangle": [0, 60, 8, 8]}, PLACE):
        after = _picture(_document(folder, edits=[*kept, extra]))
        assert (after != before).mean() > 0.05
    np.testing.assert_array_equal(_picture(_document(folder, edits=kept)), before)
    # Of an undone first, the last remains as it is alone.
    np.testing.assert_array_equal(
        _picture(_document(folder, edits=[STYLE])),
        _painted(Scene(edits=(Pin(Region(-8, 8, 8, 12), Seed(9), 4),))),
    )


def test_statistics_are_those_of_another_region(folder):
    """Latents of 3 x 3 cells take means and deviations of 8 x 8 ones elsewhere."""
    other = [200, 200, 32, 32]
    edit = {**RESAMPLE, "what": ["structure"], "statistics_of": other}
    taken = _world(_document(folder, edits=[edit])).scene.edits[0].statistics
    world = _world(_document(folder))
    mean, deviation = world.latent_statistics(*other)
    np.testing.assert_array_equal(taken.mean, mean)
    np.testing.assert_array_equal(taken.deviation, deviation)
    # Of what former edits made there: all of it drawn anew, and then measured.
    anew = {**RESAMPLE, "rectangle": other}
    moved = _world(_document(folder, edits=[anew, edit])).scene.edits[1].statistics
    assert np.abs(moved.mean - mean).max() > 0.01
    # Not of what later ones make.
    first = _world(_document(folder, edits=[edit, anew])).scene.edits[0].statistics
    np.testing.assert_array_equal(first.mean, mean)
    # At a smaller size too, they are measured at the full one.
    small_ = _world(_document(folder, edits=[edit]), level=1).scene.edits[0].statistics
    np.testing.assert_array_equal(small_.mean, mean)


@pytest.fixture
def measured(monkeypatch):
    """Of everything that is measured: how many edits its world has, and its rectangle.

    And of its tiles: their sizes.
    """
    worlds, tile_sizes = [], []
    measure, draw = world_lib.World.latent_statistics, Painter.latents_in

    def counted(world, *rectangle):
        worlds.append((len(world.scene.edits), list(rectangle)))
        return measure(world, *rectangle)

    def sized(painter, *args):
        tile_sizes.append(painter.setup.tile_size)
        return draw(painter, *args)

    monkeypatch.setattr(world_lib.World, "latent_statistics", counted)
    monkeypatch.setattr(Painter, "latents_in", sized)
    return worlds, tile_sizes


def _taking(rectangle, other):
    return {**RESAMPLE, "rectangle": rectangle, "statistics_of": other}


def test_statistics_are_measured_when_a_tile_sees_them(folder, measured):
    """Each once, in a world of those edits alone that reach the rectangle."""
    worlds, tile_sizes = measured
    rectangles = [[0, 4000 * index, 32, 32] for index in range(6)]
    edits = [_taking(each, each) for each in [*rectangles, rectangles[0]]]
    document = _document(folder, edits=edits)
    world = _world(document)
    document.content_digest()
    document.save(folder / "statistics.json")
    assert documents.load(folder / "statistics.json") == document
    assert len(set(world.scene.edits)) == 7
    world.blends(Window(0, 0, 64, 64))
    world[0:8, 2000:2008]  # which sees none
    assert worlds == []
    world[0:8, 4000:4008]
    assert worlds == [(0, rectangles[1])]
    world[0:8, 0:8]
    assert worlds[1:] == [(0, rectangles[0]), (1, rectangles[0])]
    assert tile_sizes == [64] * 3  # the least, though 512 is the default one
    world[0:64, 0:64]
    assert len(worlds) == 3


def test_a_long_chain_of_statistics_is_measured_in_order(folder, measured):
    """Each of what the former one made: no chain is too deep, none measured twice."""
    count = 150  # several calls each would be too many within each other
    places = [[0, 1000 * index, 8, 8] for index in range(count + 1)]
    edits = [_taking(*pair) for pair in zip(places[1:], places, strict=False)]
    world = _world(_document(folder, edits=edits))
    world.scene.edits[-1].statistics.mean  # noqa: B018
    assert [each for _, each in measured[0]] == places[:-1]
    world.scene.edits[10].statistics.deviation  # noqa: B018
    assert len(measured[0]) == count
    # The same as of a world that has measured only the first ones.
    first = _world(_document(folder, edits=edits[:3]))
    np.testing.assert_array_equal(
        first.scene.edits[2].statistics.mean, world.scene.edits[2].statistics.mean
    )


@pytest.mark.parametrize("period", [None, (64, 320)])
def test_statistics_do_not_depend_on_the_tile_size(period, monkeypatch):
    """To the last bit: nor on that of the world that asks, nor on its level."""
    edits = (Resample(Region(-20, 30, 40, 40), 3),)
    found = []
    for tile_size in (12, 64):
        monkeypatch.setattr(
            costs, "measuring_tile_size", lambda *_, size=tile_size: size
        )
        options = {"seed": SEED, "scene": Scene(edits=edits), "tile_size": 32}
        options |= {"level": tile_size % 3}
        if period is not None:
            options["period"] = period
        world = World(tiny.MODEL, small.params(), **options)
        found.append(world.latent_statistics(-26, 18, 150, 70))
    for mean, deviation in found[1:]:
        np.testing.assert_array_equal(mean, found[0][0])
        np.testing.assert_array_equal(deviation, found[0][1])


def test_statistics_that_see_too_many_edits_are_refused_when_read(folder):
    region = {**RESAMPLE, "rectangle": [0, 0, 8, 8]}
    edits = [region] * MAX_STREAMS
    _refused(
        folder,
        "edits[1024]",
        "(1024)",
        "below 1024",
        edits=[*edits, _taking([0, 900, 8, 8], [0, 0, 32, 32])],
    )
    _world(_document(folder, edits=[*edits, _taking([0, 900, 8, 8], [0, 900, 32, 32])]))


def test_an_inversion_is_placed_and_its_known_pixels_are_exact(folder):
    image = small.true_inversion().image
    picture = _picture(_document(folder, edits=[PLACE]))
    np.testing.assert_array_equal(picture[32 : 32 + 24, 60 : 60 + 24], image)
    painted = _picture(_document(folder, edits=[PLACE | {"exact": False}]))
    assert np.abs(painted[32:56, 60:84].astype(int) - image).max() <= 1
    # Without a place it is where it was: at row -12 and column 0.
    own = {key: value for key, value in PLACE.items() if key != "at"}
    picture = _picture(_document(folder, edits=[own]))
    np.testing.assert_array_equal(picture[20:44, 0:24], image)
    styled = _document(folder, styles={"kind": "one", "style": {"inversion": HOUSE}})
    source = _world(styled).scene.styles.source
    np.testing.assert_array_equal(source.look.styles, small.true_inversion().styles)


HOUSE = "house.npz"


def test_a_document_survives_its_file(folder):
    document = _document(folder, styles=STYLES["sites"][0], edits=[RESAMPLE, PLACE])
    document.save(folder / "a.json")
    loaded = documents.load(folder / "a.json")
    assert loaded == document
    assert loaded.content_digest() == document.content_digest()
    loaded.save(folder / "b.json")
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    other = _document(folder, styles=STYLES["sites"][0], edits=[PLACE])
    assert other.content_digest() != document.content_digest()


def test_the_digest_is_of_named_files_too(folder, tmp_path):
    digests = set()
    for level in (10, 20):
        levels = np.full((4, 4), 200, np.uint8)
        levels[0] = level
        PIL.Image.fromarray(levels).save(tmp_path / "mask.png")
        edit = {**RESAMPLE, "mask": "mask.png"}
        digests.add(_document(tmp_path, edits=[edit]).content_digest())
    assert len(digests) == 2


def test_files_are_named_from_the_folder_that_a_document_is_saved_in(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    PIL.Image.new("L", (4, 4), 255).save(tmp_path / "deep" / "er" / "mask.png")
    edit = {**RESAMPLE, "mask": "deep/er/mask.png"}
    document = _document(None, edits=[edit])  # as a command's options say it
    document.save("deep/a.json")
    saved = documents.load("deep/a.json")
    assert saved.values["edits"][0]["mask"] == "er/mask.png"
    assert _world(saved).scene.edits[0].region.mask.all()
    (tmp_path / "else").mkdir()
    with pytest.raises(ValueError, match="must lie in the world file's folder"):
        document.save("else/a.json")
    with pytest.raises(ValueError, match="must lie in the world file's folder"):
        saved.save("else/a.json")
    assert not os.listdir("else")


def _refused(folder, *words, **values):
    with pytest.raises(ValueError) as caught:
        _world(_document(folder, **values))
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert len(text) < 400
    return text


def test_another_checkpoint_is_named(folder):
    document = _document(folder)
    other = bundle_lib.Bundle(tiny.CONFIG, tiny.params(1))
    with pytest.raises(ValueError) as caught:
        document.world(other)
    for word in ("tiny", document.digest[:12], other.digest[:12], "`bundle`"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "infinitygan_jax world 2"}, ("world 1", "world 2", "version")),
        ({"format": None}, ("must say format", "null")),
        ({"format": ["x" * 500] * 500}, ("must say format",)),
        ({"checkpoint": None}, ("must name its checkpoint",)),
        ({"checkpoint": {"name": "a", "digest": 5}}, ("must name its checkpoint",)),
        (
            {"checkpoint": {"name": "a", "digest": "b", "c": 1}},
            ("checkpoint.c", "not known"),
        ),
    ],
)
def test_other_formats_are_refused(tmp_path, change, words):
    whole = {"format": documents.FORMAT, "checkpoint": {"name": "a", "digest": "b"}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole | change))
    with pytest.raises(ValueError) as caught:
        documents.load(path)
    assert all(word in str(caught.value) for word in words), caught.value
    assert len(str(caught.value)) < 500
    path.write_text(json.dumps(whole))
    assert documents.load(path).name == "a"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 5000, b"1" * 5000, b"null"]
)
def test_what_is_no_world_file_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"world file .*a\.json"):
        documents.load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"seed": 1}', ("no world file", "`Document.save`")),
        ("[1, 2]", ("no world file", "`Document.save`")),
        (
            '{"format": "infinitygan_jax world 1", "seed": 1, "a": 2, "seed": 3}',
            ('"seed" twice', "once", "remove"),
        ),
        ('{"edits": [{"mask": 1, "mask": 1}]}', ('"mask" twice',)),
        ('{"seed": ' + "1" * 5000 + "}", ("at most 1000 digits", "5000", "shorter")),
        ("-" + "1" * 1001, ("at most 1000 digits", "1001")),
    ],
)
def test_unclear_files_are_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        documents.load(path)
    message = str(caught.value)
    assert all(word in message for word in (*words, "a.json")), message
    assert "\n" not in message
    assert "set_int_max" not in message


def test_missing_and_too_large_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="and there is none"):
        documents.load(tmp_path / "no.json")
    with pytest.raises(ValueError, match="and there is none"):
        documents.load(tmp_path)
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b" " * 11)
    with pytest.raises(ValueError, match="at most 10 bytes, and has 11"):
        documents.load(tmp_path / "a.json")


def _latents(**values):
    return {"latents": {"between": [1, 2], "share": 0.5} | values}


def _one(style):
    return {"styles": {"kind": "one", "style": style}}


EDIT = "edits[0]"
BAD = [
    ({"colour": 1}, ("colour", "not known", "octaves")),
    ({"seed": -1}, ("seed (-1)", "0 to 2**64 - 1")),
    ({"seed": 2**64}, ("seed", "0 to 2**64 - 1")),
    ({"seed": True}, ("seed (true)", "whole number")),
    ({"seed": 1.0}, ("seed (1.0)", "whole number")),
    ({"seed": 10**400}, ("seed", "whole number")),
    ({"vertical_span": 0}, ("vertical_span (0)", "from 1")),
    ({"vertical_span": "far"}, ('vertical_span ("far")',)),
    ({"period": [30, None]}, ("period's height (30)", "multiple of 4", "32")),
    ({"period": [0, None]}, ("period's height (0)",)),
    ({"period": 64}, ("period (64)",)),
    ({"period": False}, ("period (false)",)),
    ({"octaves": 0}, ("octaves (0)", "from 1 to 12")),
    ({"truncation": 2}, ("truncation (2)", "from 0 to 1")),
    ({"noise_scale": -1}, ("noise_scale (-1)", "from 0 to 1")),
    ({"truncation": "half"}, ('truncation ("half")', "from 0 to 1")),
    ({"latents": 7}, ("latents (7)", "object", '"between"')),
    ({"latents": {"between": [1, 2]}}, ("latents.share (null)", "0 to 1")),
    (_latents(share=2), ("latents.share (2)", "0 to 1")),
    (_latents(between=3), ("latents.between (3)", "two seeds")),
    (_latents(between=[1, -2]), ("latents.between", "seed (-2)")),
    (_latents(noise=1), ("latents.noise (1)", "true or false")),
    (_latents(to=1), ("latents.to", "known")),
    ({"styles": 7}, ("styles (7)", "object")),
    ({"styles": {"kind": "two"}}, ('styles.kind ("two")', "one, sites, chain")),
    ({"styles": {"kind": "one", "style": -3}}, ("styles.style", "seed (-3)")),
    ({"styles": {"kind": "one", "style": "7"}}, ('styles.style ("7")',)),
    (_one({"between": [1, 2]}), ("styles.style.share (null)", "0 to 1")),
    (_one({"between": [1, 2], "share": 1.5}), ("styles.style.share (1.5)",)),
    (_one({"between": [1, 2], "share": True}), ("styles.style.share (true)",)),
    (_one({"between": [1, 2], "share": float("nan")}), ("styles.style.share (nan)",)),
    (_one({"between": [1], "share": 0.5}), ("styles.style.between ([1])", "seeds")),
    (_one({"between": [1, -2], "share": 0.5}), ("styles.style.between", "seed (-2)")),
    (_one({"between": [1, 2], "share": 1, "to": 1}), ("styles.style.to", "known")),
    ({"styles": {"kind": "sites", "sites": []}}, ("styles.sites ([])", "one")),
    ({"styles": _sites((1, (0, 2**62 + 1)))}, ("styles.sites[0].at", "2**62")),
    (
        {"styles": {"kind": "chain", "styles": [1, 2], "every": 8, "blend": 9}},
        ("blend (9)", "distance (8)"),
    ),
    (
        {
            "styles": {"kind": "chain", "styles": [1, 2], "every": 20, "cyclic": True},
            "period": [None, 96],
        },
        ("width (96)", "2 x 20", "nearest is 80"),
    ),
    (
        {
            "styles": {"kind": "chain", "styles": [1, 2], "every": 24},
            "period": [None, 96],
        },
        ("must be cyclic",),
    ),
    ({"styles": {"kind": "biomes", "every": 8, "blend": 9}}, ("blend (9)",)),
    ({"edits": {}}, ("edits ({})", "list")),
    ({"edits": [7]}, (EDIT, "object")),
    ({"edits": [{"edit": "erase"}]}, (EDIT, '"erase"', "resample, style, place")),
    ({"edits": [RESAMPLE | {"colour": 1}]}, (EDIT, "colour", "not known")),
    ({"edits": [RESAMPLE | {"rectangle": [0, 0, 0, 8]}]}, (EDIT, "1x1")),
    ({"edits": [RESAMPLE | {"rectangle": [0, 0, 8]}]}, (EDIT, "four whole")),
    ({"edits": [RESAMPLE | {"seed": None}]}, (f"{EDIT}.seed (null)",)),
    ({"edits": [RESAMPLE | {"seed": -1}]}, (EDIT, "seed (-1)")),
    ({"edits": [RESAMPLE | {"what": []}]}, (EDIT, "structure, texture or both")),
    ({"edits": [RESAMPLE | {"what": "texture"}]}, (f"{EDIT}.what", "list")),
    (
        {"edits": [RESAMPLE | {"what": ["texture"], "statistics_of": [0, 0, 9, 9]}]},
        (f"{EDIT}.statistics_of", "texture alone"),
    ),
    (
        {"edits": [RESAMPLE | {"statistics_of": [0, 0, 2**30, 2**30]}]},
        (EDIT, "1024 tiles"),
    ),
    ({"edits": [RESAMPLE | {"statistics_of": [0, 0, 1, 1]}]}, (EDIT, "a cell")),
    (
        {"edits": [STYLE | {"rectangle": [1, 65, 12, 3], "feather": 0}]},
        (f"{EDIT}.rectangle (3x12", "4x4 pixels, a cell", "larger"),
    ),
    (
        {"edits": [RESAMPLE | {"rectangle": [1, 65, 3, 12]}]},
        (f"{EDIT}.rectangle (12x3", "4x4 pixels, a cell", '"what": ["texture"]'),
    ),
    ({"edits": [RESAMPLE | {"mask": "none.png"}]}, (f"{EDIT}.mask", "no pixel")),
    (
        {"edits": [RESAMPLE | {"mask": "dot.png"}]},
        (f"{EDIT}.mask", "4x4 pixels", '"what": ["texture"]'),
    ),
    (
        {"edits": [STYLE_12 | {"mask": "dot.png", "feather": 0}]},
        (f"{EDIT}.mask", "4x4 pixels", "larger"),
    ),
    ({"edits": [STYLE | {"feather": -1}]}, (EDIT, "feather (-1)")),
    (
        {"edits": [STYLE | {"mask": "mask.png", "feather": 2**20}]},
        (EDIT, "mask", "pixels"),
    ),
    ({"edits": [STYLE | {"feather": 100}], "period": [None, 96]}, ("width (96)",)),
    ({"edits": [PLACE | {"at": [1, 2]}]}, (EDIT, "cells of 4", "0,4")),
    ({"edits": [PLACE | {"at": [0, 2**62]}]}, (EDIT, "2**62")),
    ({"edits": [PLACE | {"exact": 1}]}, (f"{EDIT}.exact (1)", "true or false")),
    ({"edits": [PLACE | {"inversion": 7}]}, (f"{EDIT}.inversion (7)",)),
    ({"edits": [PLACE | {"inversion": "no.npz"}]}, (EDIT, "does not exist")),
    ({"edits": [PLACE | {"inversion": "map.png"}]}, (EDIT, "map.png")),
    ({"edits": [RESAMPLE | {"mask": "no.png"}]}, (EDIT, "no.png")),
    ({"edits": [RESAMPLE | {"mask": "house.npz"}]}, (EDIT, "house.npz")),
    ({"edits": [RESAMPLE | {"mask": ""}]}, (EDIT, "name")),
    ({"edits": [RESAMPLE | {"mask": "a\0b"}]}, (EDIT, "name")),
    ({"edits": [RESAMPLE | {"mask": "x" * 5000}]}, (EDIT,)),
]


@pytest.mark.parametrize(("values", "words"), BAD)
def test_bad_entries_are_named_in_one_line(folder, values, words):
    _refused(folder, *words, **values)


def test_deep_and_long_values_are_shown_shortened(folder):
    deep = []
    for _ in range(900):
        deep = [deep]
    for value in (deep, ["x" * 1000] * 1000, {"a": deep}, "y" * 10_000):
        for key in ("seed", "period", "styles", "edits", "octaves", *PAINTING):
            _refused(folder, **{key: value})
        for edit in (RESAMPLE, STYLE, PLACE):
            for key in edit:
                _refused(folder, EDIT, edits=[edit | {key: value}])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([False, None, "a"], '[false, null, "a"]'),
        ({"a": True}, '{"a": true}'),
        ('"', r'"\""'),
        ("Zürich", '"Zürich"'),
        ("x" * 200, f'"{"x" * 30}...{"x" * 30}"'),
    ],
)
def test_messages_show_values_in_the_words_of_the_file(folder, value, text):
    assert checked.shown(value) == text
    _refused(folder, f"seed ({text})", seed=value)


def test_a_map_must_have_a_level_for_each_style(folder):
    entry = {"kind": "map", "file": "map.png", "styles": [1, 2, 3]}
    entry |= {"rectangle": [0, 0, 64, 96]}
    _refused(folder, "2 levels for 3 styles", styles=entry)


def test_too_many_edits_are_refused(folder, monkeypatch):
    monkeypatch.setattr(entries, "MAX_EDITS", 3)
    _world(_document(folder, edits=[RESAMPLE] * 3))
    _refused(folder, "at most 3", "they are 4", edits=[RESAMPLE] * 4)


def test_files_outside_the_folder_are_refused(folder, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    secret = tmp_path / "mask.png"
    PIL.Image.new("L", (4, 4), 255).save(secret)
    (inner / "link.png").symlink_to(secret)
    (inner / "away").symlink_to(tmp_path)
    for name in ("../mask.png", str(secret), "link.png", "away/mask.png", "..", "/"):
        text = _refused(
            inner,
            "must lie in the world file's folder",
            edits=[MASKED | {"mask": name}],
        )
        assert text.startswith(EDIT)
    (inner / "own.png").write_bytes(secret.read_bytes())
    (inner / "near.png").symlink_to("own.png")  # which stays in the folder
    _world(_document(inner, edits=[MASKED | {"mask": "near.png"}]))


def test_what_is_as_large_as_a_cell_shows(folder):
    """Wherever it lies; and texture may be finer."""
    before = _picture(_document(folder))
    for top, left in ((1, 65), (2, 62), (-13, 31)):
        place = [top, left, 4, 4]
        for edit in (STYLE | {"feather": 0}, RESAMPLE | {"what": ["structure"]}):
            after = _picture(_document(folder, edits=[edit | {"rectangle": place}]))
            assert (after != before).any()
    fine = RESAMPLE | {"what": ["texture"], "rectangle": [1, 65, 2, 2]}
    after = _picture(_document(folder, edits=[fine]))
    assert (after != before).any()


MASKED = RESAMPLE


def test_no_value_of_any_kind_is_a_traceback(folder):
    """Every value of a good document is replaced by all kinds of others."""
    good = {
        "seed": 1,
        "horizon": 4,
        "vertical_span": 90,
        "period": [640, 960],
        "octaves": 2,
        "truncation": 0.5,
        "noise_scale": 0.5,
        "latents": {"between": [3, 4], "share": 0.5, "noise": True},
        "styles": STYLES["sites"][0],
        "edits": [RESAMPLE | {"mask": "mask.png"}, STYLE, PLACE],
    }
    others = [v[0] for v in STYLES.values()]
    others.append({"kind": "biomes", "every": 96, "blend": 20})
    others.append(_one({"between": [3, 4], "share": 0.5})["styles"])
    map_ = {"kind": "map", "file": "map.png", "styles": [1, 2]}
    others.append(map_ | {"rectangle": [0, 0, 640, 960], "blend": 5})
    kinds = [None, True, -1, 0, 2**31, 2**62, 2**70, 10**400, 1.5, float("inf")]
    kinds += [float("nan"), "", "a", "mask.png", "\ud800", [], [[]], [None] * 4, {}]
    kinds += [[1] * 4, [2**63] * 2, [2**61] * 4, {"inversion": "mask.png"}, {"kind": 1}]
    rng = random.Random(0)
    tried = 0
    for styles in others:
        whole = {**good, "styles": styles}
        paths = list(_paths(whole))
        if styles is not others[0]:
            paths = [path for path in paths if path[0] == "styles"]
        for path in paths:
            for kind in rng.sample(kinds, 12):
                values = json.loads(json.dumps(whole))
                part = values
                for step in path[:-1]:
                    part = part[step]
                part[path[-1]] = kind
                tried += 1
                try:
                    _world(_document(folder, **values))
                except ValueError as error:
                    assert len(str(error)) < 600, (path, kind)
    assert tried > 500


def _paths(value):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        yield (key,)
        if isinstance(each, dict | list):
            yield from ((key, *rest) for rest in _paths(each))


def test_the_example_of_the_documentation_is_painted(tmp_path):
    """As it stands there, with the bundled model."""
    text = (ROOT / "docs" / "world_file.md").read_text("utf-8")
    example = re.search(r"```json\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "valley.json").write_text(example)
    document = documents.load(tmp_path / "valley.json")
    bundle = load_bundle(document.name)
    assert document.digest == bundle.digest  # else: make digests
    world = document.world(bundle, tile_size=64)
    assert len(world.scene.edits) == 2
    picture = world[0:16, 256:288]
    document = dataclasses.replace(document, values={"seed": 3})
    plain = document.world(bundle, tile_size=64)
    assert np.abs(picture.astype(int) - plain[0:16, 256:288]).max() > 20


def test_every_key_is_documented():
    text = (ROOT / "docs" / "world_file.md").read_text("utf-8")
    folder = ROOT / "infinitygan_jax/worldfile"
    source = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    keys = {"format", "checkpoint", "name", "digest"}
    for call in re.findall(r"(?:names = |known_keys)\((.*?)\)\n", source, re.DOTALL):
        keys |= set(re.findall(r'"(\w+)"', call))
    assert len(keys) > 20
    for key in keys:
        assert f"`{key}`" in text, key
