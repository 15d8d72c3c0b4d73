"""Properties of the training images and patches (docs/model.md, section 8)."""

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax.data.crops import prepare, random_patch


def rows_image(size):
    """A picture whose rows and columns are written in its red and green values."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0] = np.arange(size)[:, None]
    image[..., 1] = np.arange(size)[None, :]
    return image


@pytest.mark.parametrize(("full_size", "patch_size"), [(197, 101), (102, 101)])
def test_label_says_where_the_patch_was(full_size, patch_size):
    image, rng = rows_image(full_size), np.random.default_rng(0)
    tops = set()
    for _ in range(200):
        patch, label = random_patch(image, rng, patch_size, flip=True)
        assert patch.dtype == np.float32 and patch.shape == (patch_size, patch_size, 3)
        assert label.dtype == np.float32 and label.shape == ()
        red = np.rint((patch[..., 0] + 1) * 127.5)
        top = int(red[0, 0])
        np.testing.assert_array_equal(
            red, (top + np.arange(patch_size))[:, None] + 0 * red
        )
        # The first possible row is -1, the last (full - patch) is 1.
        assert label == np.float32(2 * top / (full_size - patch_size) - 1)
        tops.add(top)
    assert {0, full_size - patch_size} <= tops or full_size == 197
    assert min(tops) < 0.1 * full_size and max(tops) >= 0.9 * (full_size - patch_size)


def test_patch_keeps_values_and_spans_minus_one_to_one():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 255
    patch, label = random_patch(image, np.random.default_rng(0), 4, flip=False)
    assert label == 0  # One possible row.
    np.testing.assert_array_equal(patch[:2], 1)
    np.testing.assert_array_equal(patch[2:], -1)


def test_flip_mirrors_half_of_the_patches_and_moves_none():
    image = rows_image(64)
    mirrored = 0
    for seed in range(200):
        plain, label = random_patch(image, np.random.default_rng(seed), 32, flip=False)
        other, same = random_patch(image, np.random.default_rng(seed), 32, flip=True)
        assert label == same
        assert plain[0, 0, 1] < plain[0, -1, 1]
        is_mirrored = other[0, 0, 1] > other[0, -1, 1]
        mirrored += is_mirrored
        np.testing.assert_array_equal(other, plain[:, ::-1] if is_mirrored else plain)
    assert 70 < mirrored < 130  # 100 +- 4 standard deviations of 7.


def test_patch_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match=r"patch_size \(65\) must be from 1 to .*64"):
        random_patch(rows_image(64), np.random.default_rng(0), 65, flip=False)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 900), (120, 120)])
@pytest.mark.parametrize("pre_size", [0, 128])
def test_prepare_gives_a_square_of_the_centre(shape, pre_size):
    height, width = shape
    side = min(shape)
    image = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = (10, 100, 200)
    full = prepare(image, 197, pre_size)
    assert full.shape == (197, 197, 3) and full.dtype == np.uint8
    # Lanczos rings next to the white beyond the cut; further in is the colour alone.
    np.testing.assert_array_equal(full[20:-20, 20:-20], [[(10, 100, 200)] * 157] * 157)


def test_prepare_agrees_with_resizing_then_cutting():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (256, 384, 3), np.uint8)
    whole = Image.fromarray(image).resize((192, 128), Image.Resampling.LANCZOS)
    want = np.asarray(whole)[:, 32:160]
    np.testing.assert_array_equal(prepare(image, 128), want)


def test_pre_size_takes_detail_away():
    # Lines one pixel wide: 197 keeps some of their contrast, 128 cannot hold any.
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, ::3] = 255
    assert prepare(image, 197).std() > 2 * prepare(image, 197, 64).std()


def test_prepare_leaves_an_image_of_the_right_size_alone():
    image = rows_image(128)
    np.testing.assert_array_equal(prepare(image, 128), image)
