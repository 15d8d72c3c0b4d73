"""What a person says of styles becomes an entry, or one line that says why not."""

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax.sampling import fusion
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.styles import Axis, Seed, Site

WINDOW = Window(-100, 40, 200, 400)


def _entry(*texts, **options):
    return fusion.styles_entry(texts, WINDOW, **options)


def test_places_are_shares_of_the_window():
    """Rows -100 to 100, columns 40 to 440: half of 200 is 100, a quarter of 400 100."""
    entry = _entry("11@0.5,0.25", "22@0,1", blend=30)
    assert entry == {
        "kind": "sites",
        "sites": [{"style": 11, "at": [0, 140]}, {"style": 22, "at": [-100, 440]}],
        "blend": 30,
    }


def test_spaces_and_exponents_are_read():
    entry = _entry(" 11 @ 5e-1 , .25 ")
    assert entry["sites"] == [{"style": 11, "at": [0, 140]}]


def test_one_style_is_all_over():
    assert _entry("7") == {"kind": "one", "style": 7}
    assert _entry("7@0.5,0.5")["kind"] == "sites"
    inversion = {"inversion": "a house.npz"}
    assert _entry("a house.npz") == {"kind": "one", "style": inversion}


@pytest.mark.parametrize("name", ["me@home.npz", "@1,2.npz", "a@0.5,0.5.npz"])
def test_files_may_have_an_at_in_their_names(name):
    """The place is behind the last one."""
    style = {"inversion": name}
    assert _entry(name) == {"kind": "one", "style": style}
    entry = _entry(f"{name}@0,0", f"{name} @ 1,1")
    assert [site["style"] for site in entry["sites"]] == [style, style]
    assert _entry(name, every=9)["styles"] == [style]
    with pytest.raises(ValueError, match=f"; write {name}$"):
        _entry(f"{name}@0,0", every=9)


def test_chains_and_maps_need_no_places():
    chain = _entry("1", "2", every=512, cyclic=True)
    assert chain == {"kind": "chain", "styles": [1, 2], "every": 512, "cyclic": True}
    entry = _entry("1", "2", map_name="a.png", blend=9)
    assert entry == {
        "kind": "map",
        "file": "a.png",
        "styles": [1, 2],
        "rectangle": [-100, 40, 200, 400],
        "blend": 9,
    }


def test_styles_without_places_are_in_the_middles_of_equal_parts():
    """Columns 40 to 440 in four parts of 100: middles 90, 190, 290, 390; row 0."""
    entry = _entry("5", "6", "7", "8")
    assert entry == {
        "kind": "sites",
        "sites": [{"style": 5 + i, "at": [0, 90 + 100 * i]} for i in range(4)],
    }
    shares = _entry(*(f"{5 + i}@0.5,{0.125 + 0.25 * i}" for i in range(4)))
    assert entry == shares


def test_many_styles_far_away_are_spread_in_whole_numbers():
    window = Window(-1, 2**61, 3, 7)
    entry = fusion.styles_entry(["1", "2", "3"], window, blend=2)
    # 7 / 6 = 1.2, 7 / 2 = 3.5 and 5 * 7 / 6 = 5.8 columns, and row -1 + 1.
    places = [site["at"] for site in entry["sites"]]
    assert places == [[0, 2**61 + 1], [0, 2**61 + 3], [0, 2**61 + 5]]
    assert entry["blend"] == 2


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        (["1@0,0", "2"], {}, ("`texts` (2)", "as 1@0,0", "2@0.5,0.5", "leave out")),
        (["1@2,0"], {}, ("`texts` (1@2,0)", "0 to 1")),
        (["1@-0.1,0"], {}, ("0 to 1",)),
        (["1@1e999,0"], {}, ("0 to 1",)),
        (["1@.,0"], {}, ("0 to 1",)),
        (["1@0.5"], {}, ("SEED@Y,X", "11@0.5,0.25")),
        (["1@0.5,0.5,0.5"], {}, ("SEED@Y,X",)),
        (["a@b.npz@2"], {}, ("SEED@Y,X",)),
        (["@0,0"], {}, ("SEED@Y,X",)),
        ([""], {}, ("SEED@Y,X",)),
        (["x@0,0"], {}, ("style (x)", "seed")),
        (["-1@0,0"], {}, ("style (-1)", "seed")),
        (["1.5@0,0"], {}, ("style (1.5)", "seed")),
        ([str(2**64)], {}, (f"style ({2**64})", "2**64 - 1")),
        (["1@0,0"], {"every": 9}, ("`every`", "write 1")),
        (["1@0,0"], {"map_name": "a"}, ("`map_name`", "write 1")),
        (["1"], {"every": 9, "map_name": "a"}, ("exclude each other",)),
    ],
)
def test_what_is_not_of_the_form_is_refused(texts, options, words):
    with pytest.raises(ValueError) as caught:
        _entry(*texts, **options)
    assert all(word in str(caught.value) for word in words), caught.value


def _point(y, x):
    return Site(y, y, x, x)


def test_the_default_blend_is_the_least_gap():
    sites = [_point(0, 0), _point(30, 40), _point(500, 0)]  # 50, 500, 472 apart
    assert fusion.default_blend(sites) == 50
    assert fusion.default_blend([_point(0, 0), _point(0, 0), _point(0, 7)]) == 7
    assert fusion.default_blend([_point(5, 5)]) == 1
    boxes = [Site(0, 10, 0, 100), Site(14, 30, 103, 200)]  # 4 down, 3 to the right
    assert fusion.default_blend(boxes) == 5
    assert fusion.default_blend(boxes[::-1]) == 5
    far = [_point(0, -(2**62)), _point(0, 2**62)]
    assert fusion.default_blend(far) == 2**31 - 1


def test_the_default_blend_of_many_sites_is_found_at_once():
    rng = np.random.default_rng(0)
    places = rng.integers(0, 10**9, (5000, 2)).tolist()
    sites = [_point(*place) for place in places]
    sites[4321] = _point(sites[17].top, sites[17].left + 3)
    assert fusion.default_blend(sites) == 3


def test_a_chain_must_close_where_the_world_repeats():
    fusion.check_chain(3, 100, True, 600, 100)
    fusion.check_chain(3, 100, False, None, 100)
    with pytest.raises(ValueError, match=r"3 x 100.*nearest is 600"):
        fusion.check_chain(3, 100, True, 700, 100)
    with pytest.raises(ValueError, match=r"nearest is 300"):
        fusion.check_chain(3, 100, True, 100, 100)
    with pytest.raises(ValueError, match="must be cyclic"):
        fusion.check_chain(3, 100, False, 600, 100)
    with pytest.raises(ValueError, match=r"blend \(101\) .* use 100"):
        fusion.check_chain(3, 100, True, 600, 101)


def test_biomes_fit_into_a_world_that_repeats():
    free = fusion.biomes(1, 100, 50, (None, None))
    assert free.pitch == (100, 100)
    assert fusion.biomes(1, 100, 50, (300, 160)).pitch == (100, 80)  # 1.6: two
    assert fusion.biomes(1, 100, 50, (40, None)).pitch == (40, 100)
    with pytest.raises(ValueError, match=r"blend \(101\) .* use 100"):
        fusion.biomes(1, 100, 101, (None, None))


def _painted(levels, number, rectangle=(0, 0, 64, 64), blend=1, period=(None, None)):
    sources = tuple(map(Seed, range(number)))
    return fusion.painted(np.array(levels), sources, rectangle, blend, period)


def test_levels_are_styles_from_the_lowest():
    field = _painted([[90, 7], [255, 7]], 3)
    corners = field.at(Axis(0, 2, 63), Axis(0, 2, 63))
    order = [corners.sources.index(Seed(index)) for index in range(3)]
    shown = corners.weights[..., order].argmax(axis=-1)
    assert shown.tolist() == [[1, 0], [2, 0]]


def test_a_blend_is_of_the_worlds_pixels():
    """Two means over half of 32 px each: a change that takes 32 px, at any map size."""
    for number in (16, 64):  # pixels of the map, over 64 of the world
        levels = np.zeros((number, number), int)
        levels[:, number // 2 :] = 1
        field = _painted(levels, 2, blend=32)
        shares = field.at(Axis(32, 1, 1), Axis(0, 64, 1))
        second = shares.weights[0, :, shares.sources.index(Seed(1))]
        changing = np.flatnonzero((second > 0) & (second < 1))
        assert abs(np.ptp(changing) + 1 - 32) <= 2 * 64 / number
        middle = (changing[0] + changing[-1]) / 2
        assert abs(middle - 31.5) <= 0.5  # around the edge


def test_maps_that_do_not_fit_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="2 levels for 3 styles"):
        _painted([[0, 1]], 3)
    with pytest.raises(ValueError, match=r"width \(64\) .*repeats \(128\)"):
        _painted([[0, 1]], 2, period=(64, 128))
    with pytest.raises(ValueError, match="1x1"):
        _painted([[0, 1]], 2, (0, 0, 0, 64))
    monkeypatch.setattr(fusion, "_MOST_SHARES", 3)
    with pytest.raises(ValueError, match="at most 1 pixels, and it has 2"):
        _painted([[0, 1]], 2)


def test_a_map_is_indices_or_grey(tmp_path):
    levels = np.array([[0, 3], [7, 7]], np.uint8)
    palette = PIL.Image.fromarray(levels).convert("P")
    palette = PIL.Image.fromarray(levels, mode="P")
    palette.putpalette([255, 0, 0] * 256)  # all of one colour
    palette.save(tmp_path / "palette.png")
    PIL.Image.fromarray(levels).save(tmp_path / "grey.png")
    colours = np.stack([levels] * 3, axis=-1)
    PIL.Image.fromarray(colours).save(tmp_path / "colours.png")
    for name in ("palette", "grey", "colours"):
        found = fusion.read_map(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(found, levels)
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"map \(a\.png\)"):
        fusion.read_map(tmp_path / "a.png")
