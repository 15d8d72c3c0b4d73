"""Batches are functions of (seed, step), whatever runs them."""

import dataclasses
import itertools

import numpy as np
import pytest

from infinitygan_jax.data.crops import Cut
from infinitygan_jax.data.pipeline import make_batches
from infinitygan_jax.data.sources import ImageSource, open_source

SETTINGS = {
    "full_size": 40,
    "patch_size": 21,
    "pre_size": 32,
    "flip": True,
    "batch_size": 8,
    "seed": 3,
}


class Numbered(ImageSource):
    """Images whose red value is their index, green the row and blue the column."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __str__(self):
        return "numbered"

    def name(self, index):
        return str(index)

    def check(self, index, min_size, full):
        pass

    def read(self, index, min_size=0):
        image = np.empty((40, 40, 3), np.uint8)
        image[..., 0] = index
        image[..., 1] = np.arange(40)[:, None]
        image[..., 2] = np.arange(40)[None, :]
        return image


@pytest.fixture
def source():
    return Numbered(11)


def start(source, **changes):
    values = SETTINGS | changes
    names = [field.name for field in dataclasses.fields(Cut)]
    cut = Cut(**{name: values.pop(name) for name in names if name in values})
    return make_batches(source, cut, **values)


def take(source, count, **changes):
    batches = start(source, **changes)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def indices(batches):
    red = np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches])
    return np.rint((red + 1) * 127.5).astype(int)


def assert_same(one, other):
    for key in ("image", "label"):
        np.testing.assert_array_equal(one[key], other[key])


def test_batches_have_the_promised_shapes():
    (batch,) = take(open_source("generated:11"), 1, num_threads=0)
    assert batch.keys() == {"image", "label"}
    assert batch["image"].shape == (8, 21, 21, 3)
    assert batch["image"].dtype == np.float32
    assert batch["image"].min() >= -1 and batch["image"].max() <= 1
    assert batch["label"].shape == (8,) and batch["label"].dtype == np.float32


def test_starting_at_a_step_gives_what_the_unbroken_run_sees(source):
    # 11 images, 8 a step: epochs end within batches, and 5 steps span four of them.
    unbroken = take(source, 5)
    for start in (1, 3, 4):
        resumed = take(source, 5 - start, start_step=start)
        for one, other in zip(unbroken[start:], resumed, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("process_count", [2, 4, 8])
def test_processes_draw_consecutive_slices_of_the_same_samples(source, process_count):
    whole = take(source, 3)
    parts = [
        take(source, 3, process_index=index, process_count=process_count)
        for index in range(process_count)
    ]
    for step in range(3):
        joined = {
            key: np.concatenate([part[step][key] for part in parts])
            for key in ("image", "label")
        }
        assert_same(whole[step], joined)


def test_resuming_on_another_number_of_processes_goes_on(source):
    whole = take(source, 4)
    parts = [
        take(source, 1, start_step=3, process_index=index, process_count=2)[0]
        for index in range(2)
    ]
    assert_same(whole[3], {k: np.concatenate([p[k] for p in parts]) for k in whole[3]})


def test_batch_size_only_regroups_the_samples(source):
    small, large = take(source, 4, batch_size=4), take(source, 2, batch_size=8)
    for key in ("image", "label"):
        np.testing.assert_array_equal(
            np.concatenate([batch[key] for batch in small]),
            np.concatenate([batch[key] for batch in large]),
        )


def test_number_of_threads_changes_nothing(source):
    none, many = take(source, 4, num_threads=0), take(source, 4, num_threads=5)
    for one, other in zip(none, many, strict=True):
        assert_same(one, other)


def test_each_epoch_shows_every_image_once_in_a_new_order():
    seen = indices(take(Numbered(12), 6, batch_size=6, pre_size=0))
    epochs = seen.reshape(3, 2 * 6)
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_patches_of_an_image_differ_between_epochs():
    batches = take(Numbered(1), 4, pre_size=0)
    corners = np.concatenate([batch["image"][:, 0, 0, 1:] for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    # 32 draws of 20 rows: 20 (1 - 0.95^32) = 16 different ones are to be expected.
    assert len(np.unique(labels)) > 10
    assert len(np.unique(corners, axis=0)) > 25


def test_labels_fit_the_pictures():
    for batch in take(Numbered(5), 3, pre_size=0):
        top = np.rint((batch["image"][:, 0, 0, 1] + 1) * 127.5).astype(int)
        # 40 - 21 + 1 = 20 possible rows.
        np.testing.assert_array_equal(batch["label"], (2 * top / 19 - 1).astype("f4"))


def test_seeds_give_other_orders_and_other_patches():
    one, other = take(Numbered(64), 4), take(Numbered(64), 4, seed=4)
    assert not np.array_equal(indices(one), indices(other))
    assert not np.array_equal(one[0]["label"], other[0]["label"])
    # Neither is one seed's second epoch the next seed's first.
    later = take(Numbered(64), 8, seed=3, start_step=8)
    assert not np.array_equal(indices(later), indices(take(Numbered(64), 8, seed=4)))


def test_far_steps_start_at_once(source):
    assert take(source, 1, start_step=10**12)[0]["image"].shape == (8, 21, 21, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process_count": 3}, r"batch_size \(8\) must be a multiple .*\(3\).* is 9"),
        ({"process_index": 2, "process_count": 2}, r"process_index \(2\)"),
        ({"batch_size": 0}, r"batch_size \(0\)"),
        ({"seed": -1}, r"seed \(-1\)"),
        ({"start_step": -1}, r"start_step \(-1\)"),
        ({"patch_size": 41}, r"patch_size \(41\) must be from 1 to full_size \(40\)"),
        ({"pre_size": -1}, r"pre_size \(-1\)"),
    ],
)
def test_impossible_settings_are_named(source, changes, message):
    with pytest.raises(ValueError, match=message):
        start(source, **changes)


def test_an_unusable_image_of_an_unchecked_source_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    batches = start(open_source(str(tmp_path)))
    with pytest.raises(ValueError, match=r"bad\.png.*is no JPEG"):
        next(batches)
