"""Which photographs are seen, and where they are cut."""

import itertools

import numpy as np
import pytest

from infinitygan_jax.evaluation import photographs
from infinitygan_jax.evaluation.photographs import View
from tests.evaluation import standin
from tests.sampling import tiny

VIEW = View(patch_size=12, full_size=30, flip=False)
SOURCE = standin.Photographs(7, 30)


def seen(view, num, seed=0, stream=0, source=SOURCE):
    """Number, top row and left column of each, whose pixels are checked."""
    found = []
    for picture in photographs.views(source, view, num, seed=seed, stream=stream):
        assert picture.shape == (view.side, view.side, 3)
        colours = np.asarray(standin.colours(picture))
        number, top, left = colours[0, 0].tolist()
        whole = SOURCE.read(number).astype(int)
        part = whole[top : top + view.side, left : left + view.side]
        np.testing.assert_array_equal(colours, part)
        found.append((number, top, left))
    return found


def test_each_photograph_comes_once_before_one_comes_twice():
    for num in (5, 7, 9, 21, 23):
        numbers = [number for number, _, _ in seen(VIEW, num)]
        counts = np.bincount(numbers, minlength=7)
        assert counts.sum() == num
        assert counts.max() - counts.min() <= 1
        # Those of one follow each other, as many as is said.
        runs = [len(list(run)) for _, run in itertools.groupby(numbers)]
        assert len(runs) == min(num, 7)
        assert runs == photographs.num_of_each(SOURCE, VIEW, num).tolist()


def test_places_are_drawn_anew_and_everywhere():
    places = seen(VIEW, 700)
    assert len(set(places)) > 550  # of 7 * 19 * 19 = 2527
    rows, cols = (set(axis) for axis in zip(*(p[1:] for p in places), strict=True))
    assert rows == cols == set(range(19))  # 30 - 12 + 1 tops


def test_seed_and_stream_decide_and_more_pictures_are_those_and_others():
    assert seen(VIEW, 23) == seen(VIEW, 23)
    assert set(seen(VIEW, 9)) < set(seen(VIEW, 23))
    assert len(set(seen(VIEW, 40)) & set(seen(VIEW, 40, stream=1))) < 5
    assert len(set(seen(VIEW, 40)) & set(seen(VIEW, 40, seed=1))) < 5


def test_few_of_many_are_from_anywhere():
    """Not the first ones by name, which may be of one day."""
    numbers = [n for n, _, _ in seen(VIEW, 3)], [n for n, _, _ in seen(VIEW, 3, seed=1)]
    assert sorted(numbers[0]) != sorted(numbers[1])


def test_half_are_mirrored_if_asked():
    view = View(patch_size=12, full_size=30, flip=True)
    pictures = photographs.views(SOURCE, view, 200, seed=0, stream=0)
    turned = [picture[0, 0, 2] > picture[0, -1, 2] for picture in pictures]
    assert 60 < sum(turned) < 140


def test_wholes_are_not_repeated():
    view = View(patch_size=12, full_size=30, flip=False, whole=True)
    assert photographs.num_views(SOURCE, view, 100) == 7
    assert photographs.num_views(SOURCE, VIEW, 100) == 100
    assert sorted(seen(view, 100)) == [(number, 0, 0) for number in range(7)]
    assert len(seen(view, 4)) == photographs.num_views(SOURCE, view, 4) == 4
    assert photographs.num_of_each(SOURCE, view, 100).tolist() == [1] * 7


def test_photographs_are_resized_as_in_training():
    view = View(patch_size=10, full_size=10, pre_size=0, flip=False)
    for picture in photographs.views(SOURCE, view, 7, seed=0, stream=0):
        rows = np.asarray(standin.colours(picture))[:, 5, 1]
        # Middles of three rows each: 1, 4, 7 ... but for the rim.
        np.testing.assert_array_equal(rows[2:-2], np.arange(7, 23, 3))


def test_a_models_view_is_what_it_learns_from():
    assert View.of(tiny.CONFIG) == View(29, 33, 0, True, False)
    assert View.of(tiny.CONFIG).side == 29
    assert View.of(tiny.CONFIG, whole=True).side == 33


@pytest.mark.parametrize(("patch", "full"), [(0, 5), (6, 5), (0, 0)])
def test_impossible_views_are_refused(patch, full):
    with pytest.raises(ValueError, match=rf"view \({patch}/{full}\).*use e.g. 101/197"):
        View(patch, full)
