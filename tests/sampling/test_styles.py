"""Style fields: weights that sum to 1, change smoothly and are the same anywhere."""

from fractions import Fraction

import jax
import numpy as np
import pytest

from infinitygan_jax import fields
from infinitygan_jax.sampling import fusion, styles
from infinitygan_jax.sampling.looks import Looks
from infinitygan_jax.sampling.styles import (
    Axis,
    Biomes,
    Chain,
    Constant,
    LatticePoint,
    Seed,
    Site,
    Sites,
    Weights,
)
from tests.sampling import tiny

STEP = 4
A, B, C = Seed(1), Seed(2), Seed(3)
BLEND = 40.0
SITES = Sites(
    (Site(0, 0, 0, 0), Site(-60, -20, 90, 130), Site(None, None, 220, 220)),
    (A, B, C),
    BLEND,
)
CHAIN = Chain((A, B, C), 60, BLEND, start=10)
CYCLE = Chain((A, B, C), 60, BLEND, start=10, cyclic=True)
BIOMES = Biomes(7, (Fraction(64), Fraction(64)), BLEND)
LEVELS = np.repeat(np.repeat(np.arange(3).reshape(1, 3), 20, 0), 20, 1)
MAP = fusion.painted(LEVELS, (A, B, C), (-100, 0, 200, 300), 40, (None, None))
FIELDS = {
    "one": Constant(A),
    "sites": SITES,
    "chain": CHAIN,
    "cycle": CYCLE,
    "biomes": BIOMES,
    "map": MAP,
}
ROWS, COLS = Axis(-120, 60, STEP), Axis(-40, 90, STEP)


def _dense(weights, sources):
    """Weights with a fixed order of styles; 0 for those that are not seen."""
    known = dict(zip(weights.sources, np.moveaxis(weights.weights, -1, 0), strict=True))
    zero = np.zeros(weights.weights.shape[:2], np.float32)
    return np.stack([known.get(source, zero) for source in sources], axis=-1)


def _all(field, rows=ROWS, cols=COLS):
    weights = field.at(rows, cols)
    return _dense(weights, sorted(weights.sources, key=repr))


@pytest.mark.parametrize("name", FIELDS)
def test_weights_are_shares(name):
    weights = FIELDS[name].at(ROWS, COLS).weights
    assert weights.shape[:2] == (ROWS.size, COLS.size)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("name", FIELDS)
def test_weights_change_smoothly(name):
    """A step changes a distance by at most a step, so a share by 4 steps of a blend.

    Of two styles with f = 1 - (farther / blend) the share is f**2 / (1 + f**2): both
    distances change, so f by 2 / blend a pixel; its derivative is at most 0.65 * 2. The
    map's triangle of two means over half a blend rises by at most 2 / blend.
    """
    shares = _all(FIELDS[name])
    for axis in (0, 1):
        assert np.abs(np.diff(shares, axis=axis)).max() <= 4 * STEP / BLEND
    if name != "one":
        assert np.ptp(shares, axis=(0, 1)).max() > 0.9  # it does change


@pytest.mark.parametrize("name", FIELDS)
def test_any_part_alone_is_the_same(name):
    whole = FIELDS[name].at(ROWS, COLS)
    rows = ROWS._replace(start=ROWS.start + 12 * STEP, size=9)
    cols = COLS._replace(start=COLS.start + 31 * STEP, size=22)
    part = FIELDS[name].at(rows, cols)
    assert set(part.sources) <= set(whole.sources)
    expected = _dense(whole, whole.sources)[12:21, 31:53]
    np.testing.assert_allclose(_dense(part, whole.sources), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["sites", "chain", "cycle", "biomes"])
def test_styles_are_seen_by_few_places(name):
    """None that is farther than the nearest by the blend or more; slow reference."""
    field = FIELDS[name]
    shares = _dense(field.at(ROWS, COLS), (A, B, C))
    rows = ROWS.start + STEP * np.arange(ROWS.size)[:, None]
    cols = COLS.start + STEP * np.arange(COLS.size)[None, :]
    if name == "sites":
        down = np.maximum(np.abs(rows + 40) - 20, 0)
        right = np.maximum(np.abs(cols - 110) - 20, 0)
        third = np.broadcast_to(np.abs(cols - 220), (ROWS.size, COLS.size))
        distances = [np.hypot(rows, cols), np.hypot(down, right), third]
    elif name == "biomes":
        points = [(row, col) for row in range(-9, 9) for col in range(-9, 14)]
        places = 64 * (np.array(points) + field._places(points))
        distances = [np.hypot(rows - y, cols - x) for y, x in places]
        order = [LatticePoint(7, *point) for point in points]
        shares = _dense(field.at(ROWS, COLS), order)
    else:
        homes = [10 + 60 * np.arange(-9, 9) * 3 + 60 * i for i in range(3)]
        if name == "chain":
            homes = [np.array([10 + 60 * i]) for i in range(3)]
        distances = [
            np.broadcast_to(
                np.abs(cols[..., None] - home).min(axis=-1), (ROWS.size, COLS.size)
            )
            for home in homes
        ]
    distances = np.stack(distances, axis=-1)
    farther = distances - distances.min(axis=-1, keepdims=True)
    np.testing.assert_array_equal(shares > 0, farther < BLEND - 1e-9)
    expected = np.maximum(1 - farther / BLEND, 0) ** 2
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_a_map_shows_each_level_where_it_is_painted():
    cols = Axis(50, 3, 100)  # the middles of three stripes
    weights = MAP.at(Axis(0, 1, 4), cols)
    np.testing.assert_allclose(_dense(weights, (A, B, C))[0], np.eye(3), atol=1e-6)
    edge = MAP.at(Axis(0, 1, 4), Axis(100, 1, 4))  # between the first two
    np.testing.assert_allclose(_dense(edge, (A, B, C))[0, 0], [0.5, 0.5, 0], atol=1e-6)
    beyond = MAP.at(Axis(2**50, 1, 4), Axis(-(2**50), 2, 4))  # what is at its edge
    assert beyond.sources == (A,)


def test_a_blurred_map_shows_nothing_far_from_its_edges():
    """Running sums leave crumbs of float; they must not count as a style."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 4, (12, 400)).repeat(7, axis=1)
    levels[:, 1400:] = 2
    sources = tuple(map(Seed, range(4)))
    field = fusion.painted(levels, sources, (0, 0, 120, 28000), 200, (None, None))
    far = field.at(Axis(0, 10, 8), Axis(16000, 100, 8))
    assert far.sources == (Seed(2),)
    assert far.weights.min() == far.weights.max() == 1


@pytest.mark.parametrize("shift", [2**50, -(2**50)])
def test_far_positions_are_like_near_ones(shift):
    rows, cols = (axis._replace(start=axis.start + shift) for axis in (ROWS, COLS))
    moved = Sites(
        tuple(
            Site(*(None if end is None else end + shift for end in site))
            for site in SITES.sites
        ),
        SITES.sources,
        BLEND,
    )
    near, far = _all(SITES), _all(moved, rows, cols)
    np.testing.assert_array_equal(near, far)
    # 3 styles every 60: a shift of whole rounds, which 2**50 is not.
    rounds = shift // 180 * 180
    far = _all(CYCLE, rows, COLS._replace(start=COLS.start + rounds))
    np.testing.assert_allclose(_all(CYCLE), far, atol=1e-6)
    # Beyond its ends a chain goes on as it ends.
    last = CHAIN.at(rows, cols)
    assert last.sources == ((C,) if shift > 0 else (A,))
    weights = BIOMES.at(rows, cols)
    assert weights.weights.min() >= 0
    assert len(weights.sources) > 10
    assert all(abs(s.row - shift // 64) < 10 for s in weights.sources)


def test_fields_wrap_around():
    """Positions a period on see the same: across the seam, and many periods away."""
    period = 384
    fields_ = {
        "sites": SITES,
        "biomes": fusion.biomes(7, 64, 40, (period, period)),
        "uneven": fusion.biomes(7, 70, 40, (period, period)),  # 5.49 to a period: 5
        "map": fusion.painted(LEVELS, (A, B, C), (0, 0, 384, 384), 40, (384, 384)),
    }
    rows, cols = (a._replace(period=period) for a in (ROWS, COLS))
    for name, field in fields_.items():
        for turns in (1, -1, 2**40):
            far = [a._replace(start=a.start + turns * period) for a in (rows, cols)]
            np.testing.assert_allclose(
                _all(field, rows, cols), _all(field, *far), atol=2e-6, err_msg=name
            )
        seam = _all(field, rows, cols._replace(start=period - 60, size=30))
        for axis in (0, 1):
            assert np.abs(np.diff(seam, axis=axis)).max() <= 4 * STEP / BLEND, name


def test_biomes_are_jittered_within_their_squares():
    points = [(row, col) for row in range(-8, 8) for col in range(-8, 8)]
    places = BIOMES._places(points)
    # The middle 0.7 of a square: no two points are nearer than 0.3 of the pitch.
    assert places.min() >= 0.15
    assert places.max() <= 0.85
    # Uniform over 0.7: deviation 0.7 / sqrt(12) = 0.202; and not on a line.
    np.testing.assert_allclose(places.std(axis=0), 0.202, atol=0.02)
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.15
    assert len({tuple(each) for each in places.tolist()}) == len(points)
    # A point is at home where it lies: only its style shows there.
    for (row, col), (y, x) in zip(points[::37], places[::37], strict=True):
        rows = Axis(round((row + y) * 64), 1, 4)
        cols = Axis(round((col + x) * 64), 1, 4)
        weights = Biomes(7, BIOMES.pitch, 8.0).at(rows, cols)
        assert weights.sources == (LatticePoint(7, row, col),)


def test_the_same_biomes_for_ever():
    """Pins: a seed must name the same places and styles in every version."""
    places = BIOMES._places([(0, 0), (-1, 2), (2**40, -(2**40))])
    np.testing.assert_allclose(places, PLACES, atol=1e-9)
    looks = Looks(tiny.MODEL, tiny.params())
    for point, latent in LATENTS.items():
        found = looks[LatticePoint(7, *point)].z_global
        np.testing.assert_allclose(found[:3], latent, atol=1e-5)
    key = fields.stream_key(7, fields.BIOME_Z_GLOBAL)
    assert key.tolist() == KEY


PLACES = [
    (0.5696059958310797, 0.8272327943937853),
    (0.2008465238148347, 0.23093319572508336),
    (0.7343138585332781, 0.36549323147628454),
]
LATENTS = {
    (0, 0): (-0.3972318, 1.6259629, 0.9622794),
    (-1, 2): (-0.6088295, -0.9254929, 0.3529547),
    (2**40, -(2**40)): (0.2876879, -0.2791980, -0.7577786),
}
KEY = [966301609, 1948237315]


def test_each_point_of_a_lattice_has_its_own_style():
    looks = Looks(tiny.MODEL, tiny.params())
    points = [LatticePoint(s, r, c) for s in (7, 8) for r in (0, 1) for c in (0, 1)]
    latents = {tuple(looks[point].z_global.tolist()) for point in points}
    latents.add(tuple(looks[Seed(7)].z_global.tolist()))
    assert len(latents) == 9


def test_a_tile_of_too_many_styles_says_so():
    looks = Looks(tiny.MODEL, tiny.params())
    many = tuple(map(Seed, range(styles.MAX_STYLES + 1)))
    weights = np.full((2, 2, len(many)), 1 / len(many), np.float32)
    with pytest.raises(ValueError, match=r"must be at most .*`tile_size`"):
        looks.of_tiles([Weights(many, weights)])
    with pytest.raises(ValueError, match=r"must be at most 1024; .*`tile_size`"):
        Biomes(7, (Fraction(1), Fraction(1)), 1.0).at(Axis(0, 90, 8), Axis(0, 90, 8))
    row = tuple(Site(0, 0, x, x) for x in range(5000))
    crowd = Sites(row, tuple(map(Seed, range(5000))), 5000.0)
    with pytest.raises(ValueError, match=r"near .*\(5000\) must be at most 1024; .*"):
        crowd.at(Axis(0, 90, 8), Axis(0, 90, 8))


@pytest.mark.parametrize("period", [None, 4096])
@pytest.mark.parametrize("shift", [0, 2**62 - 9000, -(2**62) + 9000])
def test_sites_near_a_tile_are_found_by_their_own_distances(shift, period):
    """Against `Site.distances`, one by one; every third site is at the origin."""
    rng = np.random.default_rng(0)
    sites = []
    for index in range(60):
        y, x = map(int, rng.integers(-8000, 8000, 2))
        height, width = map(int, rng.integers(0, 900, 2))
        y += shift if index % 3 else 0
        whole = index % 7 == 0
        rows = (None, None) if whole else (y, y + height)
        sites.append(Site(*rows, x, x + width))
    field = Sites(tuple(sites), (A,) * len(sites), 60.0)
    for start in (-7000, -400, 0, 5000):
        axes = Axis(start + shift, 69, 8, period), Axis(start, 69, 8, period)
        middle = [axis._replace(start=axis.middle, size=1) for axis in axes]
        distances = [site.distances(*middle).item() for site in sites]
        reach = min(distances) + 60 + 2 * (69 * 8 / 2 * 2**0.5 + 8)
        expected = [i for i, each in enumerate(distances) if each <= reach]
        assert field._near(*axes) == expected


def test_padding_takes_few_shapes_and_no_weight():
    looks = Looks(tiny.MODEL, tiny.params())
    for number, expected in ((2, 2), (3, 4), (5, 8), (33, 64)):
        sources = tuple(map(Seed, range(number)))
        weights = np.full((2, 3, number), 1 / number, np.float32)
        padded, found = looks.of_tiles([Weights(sources, weights)])
        assert padded.shape == (1, 2, 3, expected)
        assert not padded[..., number:].any()
        for each in jax.tree.leaves(found):
            assert each.shape[:2] == (1, expected)


def test_each_tile_of_a_batch_has_its_own_styles():
    looks = Looks(tiny.MODEL, tiny.params())
    ones = np.ones((2, 3, 1), np.float32)
    weights, found = looks.of_tiles([Weights((Seed(s),), ones) for s in (4, 5)])
    assert weights.shape == (2, 2, 3, 1)
    for each in jax.tree.leaves(found):
        assert each.shape[:2] == (2, 1)
        assert (each[0] != each[1]).any()
