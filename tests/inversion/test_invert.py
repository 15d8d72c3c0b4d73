"""The search: what it finds, what does not matter to it, its schedule and limits."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import machine
from infinitygan_jax.inversion import augmentation, priors, search
from infinitygan_jax.inversion import invert as inversion_lib
from infinitygan_jax.inversion.invert import Watch
from infinitygan_jax.inversion.place import Place
from infinitygan_jax.inversion.settings import Settings
from tests.inversion import small
from tests.sampling import tiny

FULL = Settings(steps=6, style_samples=200)
# No change at random, no priors, pixels only.
PLAIN = dataclasses.replace(
    FULL,
    perceptual_weight=0.0,
    autocorrelation_weight=0.0,
    z_local_autocorrelation_weight=0.0,
    z_global_weight=0.0,
    z_local_weight=0.0,
    mahalanobis_weight=0.0,
    style_perturbation=0.0,
    structure_perturbation=0.0,
)
SIZE = (small.SIDE, small.SIDE)


def invert(images, masks=None, settings=FULL, **options):
    return inversion_lib.invert(small.bundle(), images, masks, settings, **options)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """A tiny model takes longer to compile than to run."""
    monkeypatch.setattr(inversion_lib, "_FEW_STEPS", 1000)


@functools.lru_cache
def three():
    """Three squares of the world, inverted at once."""
    return invert([small.sample(left) for left in (0, 40, 80)], watch=Watch(every=4))


def assert_same_latents(first, second, **tolerance):
    parts = first.latents, second.latents
    if tolerance:
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), *parts)
    else:
        jax.tree.map(np.testing.assert_array_equal, *parts)


def test_true_latents_are_left_alone():
    true = small.true_inversion()
    noise = [
        np.asarray(priors.renormalized(jnp.asarray(n[None]), jnp.asarray(inside)))
        for n, inside in zip(true.noise, true.place.noise_inside(), strict=True)
    ]
    true = dataclasses.replace(true, noise=tuple(each[0] for each in noise))
    image = true.render(small.bundle())
    settings = dataclasses.replace(PLAIN, learning_rate=1e-4)
    (found,) = invert([image], settings=settings, start=true.latents)
    # The picture's own rounding is 1/255/sqrt(12): 59 dB.
    assert found.figures["psnr"] > 50
    assert found.figures["loss"] == pytest.approx(100 * found.figures["pixel"])
    assert found.figures["pixel"] < 3e-5  # (2/255)^2 / 2: were all values off by 1


def test_the_loss_falls():
    reports = []
    settings = dataclasses.replace(PLAIN, steps=80, structure_rate=1.0)
    (found,) = invert(
        [small.sample()],
        settings=settings,
        watch=Watch(lambda number, report: reports.append((number, report)), 20),
    )
    assert [number for number, _ in reports] == [20, 20, 20, 20]
    losses = [float(report["loss"][0]) for _, report in reports]
    assert losses[-1] < 0.5 * losses[0]
    assert found.figures["psnr"] > reports[0][1]["psnr"][0] + 3


def test_what_is_stored_paints_what_was_reported():
    for found in three():
        painted = found.render(small.bundle())
        reached = inversion_lib.psnr(painted, found.image, found.mask)
        assert reached == pytest.approx(found.figures["psnr"], abs=0.05)
        assert found.distance == "discriminator"
        assert found.digest == small.bundle().digest
        assert (found.top, found.left) == (-12, 0)
        weights = dataclasses.asdict(FULL)
        names = ("pixel", "perceptual", "autocorrelation", "z_global", "z_local")
        names += ("mahalanobis", "z_local_autocorrelation")
        total = sum(weights[f"{name}_weight"] * found.figures[name] for name in names)
        assert found.figures["loss"] == pytest.approx(total, rel=1e-4)


def test_noise_stays_normalized_and_ends_with_the_picture():
    """Under the picture; around it, it is the same whatever was searched for."""
    first, *others = three()
    for index, inside in enumerate(first.place.noise_inside()):
        for found in (first, *others):
            under = found.noise[index][inside > 0]
            assert under.mean() == pytest.approx(0, abs=1e-5)
            assert under.var() == pytest.approx(1, rel=1e-4)
        for found in others:
            around = inside == 0
            np.testing.assert_array_equal(
                found.noise[index][around], first.noise[index][around]
            )
            assert (found.noise[index] != first.noise[index])[~around].any()


def test_local_latents_beyond_the_margin_stay_as_drawn():
    settings = dataclasses.replace(FULL, margin=2, structure_rate=1.0)
    first, second = invert([small.sample(0), small.sample(40)], settings=settings)
    near = first.place.cells_near(2) > 0
    cells = -(-small.SIDE // 2**first.place.num_stages)
    assert near.sum() == (cells + 4) ** 2
    assert near[14 - 2 : 14 + cells + 2, 14 - 2 : 14 + cells + 2].all()
    np.testing.assert_array_equal(first.z_local[~near], second.z_local[~near])
    assert (first.z_local != second.z_local)[near].any(axis=-1).all()


def _painted_with(**settings):
    """The small bundle, with other settings of painting."""
    bundle = small.bundle()
    model = dataclasses.replace(bundle.config.model, **settings)
    config = dataclasses.replace(bundle.config, model=model)
    return dataclasses.replace(bundle, config=config, digest="")


def test_local_latents_are_as_far_from_0_as_the_models_own():
    bundle = _painted_with(truncation=0.25)
    (found,) = inversion_lib.invert(bundle, [small.sample()], settings=FULL)
    assert np.sqrt(np.mean(found.z_local**2)) == pytest.approx(0.25, rel=0.1)
    assert found.figures["z_local"] < 0.1  # counted as if they were drawn whole


def test_a_picture_is_found_with_noise_as_strong_as_it_is_painted():
    bundle = _painted_with(noise_scale=0.0)
    (found,) = inversion_lib.invert(bundle, [small.sample()], settings=FULL)
    other = dataclasses.replace(found, noise=tuple(-each for each in found.noise))
    np.testing.assert_array_equal(other.render(bundle), found.render(bundle))
    reached = inversion_lib.psnr(found.render(bundle), small.sample(), found.mask)
    assert reached == pytest.approx(found.figures["psnr"], abs=0.05)


def test_local_latents_are_kept_white():
    """Smooth ones, which a picture likes no less, come apart."""
    true = small.true_inversion()
    smooth = np.repeat(np.repeat(true.z_local[::3, ::3], 3, 0), 3, 1)
    smooth = smooth[: true.z_local.shape[0], : true.z_local.shape[1]]
    start = dataclasses.replace(true, z_local=smooth).latents
    found = []
    for weight in (0.0, 10.0):
        settings = dataclasses.replace(
            PLAIN, z_local_autocorrelation_weight=weight, structure_rate=0.1
        )
        (one,) = invert([true.image], settings=settings, start=start)
        found.append(one.figures["z_local_autocorrelation"])
    assert found[0] > 0.1
    assert found[1] < 0.7 * found[0]


def test_alone_is_as_among_others():
    (alone,) = invert([small.sample(40)])
    assert_same_latents(alone, three()[1], rtol=1e-3, atol=1e-3)


def test_unknown_pixels_do_not_matter():
    mask = np.ones(SIZE, bool)
    mask[5:12, 3:20] = False
    changed = small.sample(40).copy()
    changed[~mask] = 255 - changed[~mask]
    first, second = (
        invert([image], [mask])[0] for image in (small.sample(40), changed)
    )
    assert_same_latents(first, second)
    assert first.figures == second.figures
    (everything,) = invert([small.sample(40)])
    assert np.abs(everything.z_local - first.z_local).max() > 1e-4


def test_seeds_and_steps_at_once():
    (first,) = invert([small.sample()], settings=PLAIN)
    (again,) = invert([small.sample()], settings=PLAIN, watch=Watch(every=5))
    (other,) = invert([small.sample()], settings=dataclasses.replace(PLAIN, seed=1))
    assert_same_latents(first, again, rtol=1e-5, atol=1e-5)
    assert np.abs(first.z_local - other.z_local).max() > 0.1


def test_the_rate_rises_stays_and_falls():
    settings = dataclasses.asdict(Settings(steps=1000, learning_rate=0.1))
    rate = lambda step: float(search.learning_rate(settings, step))  # noqa: E731
    # A twentieth is 50 steps; a step counts at its middle.
    assert rate(0) == pytest.approx(0.1 * 0.5 / 50)
    assert rate(24) == pytest.approx(0.1 * 24.5 / 50)
    assert rate(50) == rate(749) == pytest.approx(0.1)
    # 250 steps down: half way the cosine is 0, so a half; the last is nearly 0.
    assert rate(874) == pytest.approx(0.05, rel=0.01)
    assert 0 < rate(999) < 1e-5


def test_perturbations_fade():
    def offsets(step):
        state = search.first_state(
            small.true_latents(Place(-12, 0, *SIZE, tiny.MODEL.num_stages))
        )._replace(step=jnp.int32(step))
        statistics = search.priors.StyleStatistics(None, jnp.float32(2.0), None, None)
        settings = dataclasses.asdict(Settings(steps=100, perturbation_end=0.75))
        problem = search.Problem(None, None, statistics, settings, *(None,) * 6)
        moved = search.perturbation(problem, state, jax.random.key(0))
        return np.std(moved.z_local), np.std(moved.styles)

    first, later = offsets(0), offsets(37)
    assert first[0] == pytest.approx(0.2, rel=0.1)
    assert first[1] == pytest.approx(0.05 * 2.0, rel=0.5)
    # (1 - 37.5/75)^2 of the (1 - 0.5/75)^2 at the start.
    assert later[0] / first[0] == pytest.approx(0.25 / (1 - 0.5 / 75) ** 2, rel=1e-3)
    assert offsets(75) == (0, 0)


def test_both_pictures_are_changed_alike():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    key = jax.random.key(4)
    same = augmentation.augmented(key, image, image, 1.0, 0.25)
    np.testing.assert_array_equal(*same)
    assert np.abs(same[0] - image).max() > 0.1
    left = augmentation.augmented(key, image, -image, 0.0, 0.0)
    np.testing.assert_array_equal(left[0], image)
    np.testing.assert_array_equal(left[1], -image)


def test_a_move_shows_grey_at_the_edge_it_leaves():
    image = jnp.ones((1, 16, 16, 3))
    moved, _ = augmentation.augmented(jax.random.key(1), image, image, 0.0, 0.5)
    kept = np.asarray(moved)[0, :, :, 0] == 1
    height, width = kept.any(axis=1).sum(), kept.any(axis=0).sum()
    assert 8 <= height <= 16 and 8 <= width <= 16 and height * width < 256
    assert kept.sum() == height * width


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"pixel_weight": -1.0}, "at least 0"),
        ({"ramp_up": 1.5}, "at most 1"),
        ({"z_local_rms": float("nan")}, "z_local_rms"),
        ({"style_samples": 10**9}, "at most 1000000"),
        ({"pixel_weight": 1e300}, r"pixel_weight \(1e\+300\).*at most 1000000.*100.0"),
        ({"z_global_weight": float("inf")}, "z_global_weight"),
        ({"learning_rate": 1e9}, "at most 10"),
        ({"ramp_down": 1e-300}, "above 0"),
        ({"steps": 10**400}, "at most 1000000"),
    ],
)
def test_settings_are_checked(change, words):
    with pytest.raises(ValueError, match=words):
        Settings(**change)


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        ([], None, "at least one"),
        ([(24, 24), (24, 28)], None, "one size"),
        ([(23, 40)], None, "24x24.*6 cells"),
        ([(24, 24)], [np.ones((24, 23), bool)], "mask"),
        ([(24, 24)], [np.zeros((24, 24), bool)], "known"),
    ],
)
def test_pictures_are_checked(images, masks, words):
    images = [np.zeros((*size, 3), np.uint8) for size in images]
    with pytest.raises(ValueError, match=words):
        invert(images, masks)


def test_memory_is_checked(monkeypatch):
    image = np.zeros((24, 24, 3), np.uint8)
    one, many = (
        inversion_lib.memory.needed_bytes(tiny.MODEL, None, 24, 24, count)
        for count in (1, 50)
    )
    settings = dataclasses.replace(FULL, perceptual_weight=0.0)
    monkeypatch.setattr(machine, "memory_bytes", lambda: (one + many) // 2)
    with pytest.raises(ValueError, match=r"50 pictures .* invert 25 at once"):
        invert([image] * 50, settings=settings)
    monkeypatch.setattr(machine, "memory_bytes", lambda: one - 1000)
    with pytest.raises(ValueError, match="about 23x23"):
        invert([image], settings=settings)
