"""Size algebra and world positions, against docs/model.md and a simulation."""

from fractions import Fraction

import numpy as np
import pytest

from infinitygan_jax import geometry

STAGES = range(1, geometry.MAX_STAGES + 1)


@pytest.mark.parametrize(
    ("num_stages", "patch_size"),
    # docs/model.md, section 2: 11 cells -> 17 -> 29 -> 53 -> 101, 197, 389, 773, 1541.
    [(1, 17), (2, 29), (3, 53), (4, 101), (5, 197), (6, 389), (7, 773), (8, 1541)],
)
def test_patch_sizes_are_those_of_the_spec(num_stages, patch_size):
    assert geometry.patch_size_of(num_stages) == patch_size
    assert geometry.num_stages_of(patch_size) == num_stages


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    # 1156: (773 + 1541) / 2 = 1157 is as near to both.
    [(100, 101), (128, 101), (150, 197), (0, 17), (-5, 17), (1156, 773), (9999, 1541)],
)
def test_a_patch_that_no_stage_count_gives_names_the_nearest(wrong, nearest):
    message = rf"patch_size \({wrong}\) must be .* the nearest is {nearest}$"
    with pytest.raises(ValueError, match=message):
        geometry.num_stages_of(wrong)


def simulate(first_cell, num_cells, num_stages):
    """World positions of every feature, carried through the layers as a signal.

    A ramp whose value is its world position, in cells, goes through each linear layer
    with kernels that are symmetric and sum to one: they keep a ramp, so every feature's
    value is where it is. Exact, in fractions.

    Returns:
      Positions (in cells) after each up-sampling and each plain convolution.
    """

    def valid_convolution(signal, kernel):
        size = len(signal) - len(kernel) + 1
        return [
            sum(k * signal[start + i] for i, k in enumerate(kernel))
            for start in range(size)
        ]

    half, third, quarter = Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)
    signal = [Fraction(first_cell + i) for i in range(num_cells)]
    features = []
    for _ in range(num_stages):
        transposed = [Fraction(0)] * (2 * len(signal) + 1)  # n -> 2n + 1
        for i, value in enumerate(signal):
            for offset, k in enumerate((half, 1, half)):
                transposed[2 * i + offset] += k * value
        cropped = transposed[1:-1]  # 2n - 1
        signal = valid_convolution(cropped, (quarter, half, quarter))  # 2n - 3
        features.append(signal)
        signal = valid_convolution(signal, (third, third, third))  # 2n - 5
        features.append(signal)
    return features


@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("first_cell", "num_cells"), [(0, 11), (-7, 6), (2**41, 13)])
def test_spans_are_where_the_layers_put_the_features(first_cell, num_cells, num_stages):
    spans = geometry.axis_spans(first_cell, num_cells, num_stages)
    features = simulate(first_cell, num_cells, num_stages)
    assert len(spans.noise) == len(features) == 2 * num_stages
    for index, (span, positions) in enumerate(zip(spans.noise, features, strict=True)):
        level = index // 2 + 1
        indices = [position * 2**level for position in positions]
        assert span.level == level
        assert list(range(span.start, span.stop)) == indices
    assert spans.pixels == spans.noise[-1]


@pytest.mark.parametrize("num_stages", STAGES)
def test_pixels_start_where_the_page_says(num_stages):
    # docs/model.md, section 2: the window's pixel 0 is world pixel
    # 2**k a + 2 (2**k - 1); for k = 4 and a = 3: 48 + 30 = 78.
    spans = geometry.axis_spans(3, 11, num_stages)
    assert spans.pixels.start == 3 * 2**num_stages + 2 * (2**num_stages - 1)
    assert spans.pixels.size == geometry.patch_size_of(num_stages)
    assert geometry.axis_spans(3, 11, 4).pixels.start == 78


def test_latents_reach_twelve_cells_further_than_the_structure():
    # docs/model.md, section 2: four 7x7 valid convolutions, 35 -> 29 -> 23 -> 17 -> 11.
    spans = geometry.axis_spans(-4, 11, 4)
    assert (spans.structure.start, spans.structure.size) == (-4, 11)
    assert (spans.latent.start, spans.latent.size) == (-16, 35)
    assert spans.latent.stop == 19


@pytest.mark.parametrize("num_cells", [-1, 0, 5])
def test_too_few_cells_are_an_error(num_cells):
    with pytest.raises(ValueError, match=rf"num_cells \({num_cells}\) .* use 6"):
        geometry.axis_spans(0, num_cells, 4)


@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("tile_cells", [1, 4, 8])
@pytest.mark.parametrize("tile_index", [-3, 0, 5, 2**41])
def test_tiles_cover_the_axis_without_gap(tile_index, tile_cells, num_stages):
    size = tile_cells * 2**num_stages
    spans = geometry.tile_spans(tile_index, tile_cells, num_stages)
    start = spans.pixels.start + geometry.TILE_CROP
    assert start == tile_index * size
    assert start + size <= spans.pixels.stop
    # The window is five pixels larger than the tile.
    assert spans.pixels.size == size + 5


def influence(num_cells, num_stages):
    """Which pixels each cell reaches: a matrix of cells by pixels, True where it does.

    By dilation: supports of the layers, as reach of a positive signal.
    """
    reach = np.eye(num_cells)
    for _ in range(num_stages):
        transposed = np.zeros((num_cells, 2 * reach.shape[1] + 1))
        for offset in range(3):
            transposed[:, offset : offset + 2 * reach.shape[1] : 2] += reach
        reach = transposed[:, 1:-1]
        for _ in ("blur", "plain convolution"):
            reach = reach[:, :-2] + reach[:, 1:-1] + reach[:, 2:]
    return reach > 0


@pytest.mark.parametrize("num_stages", [3, 4, 5])
def test_a_tile_reads_all_cells_that_reach_its_pixels_and_no_other(num_stages):
    tile_cells, padding = 3, 10
    first = -padding
    reach = influence(tile_cells + 2 * padding, num_stages)
    window = geometry.axis_spans(first, tile_cells + 2 * padding, num_stages).pixels
    tile = slice(-window.start, -window.start + tile_cells * 2**num_stages)
    needed = np.flatnonzero(reach[:, tile].any(axis=1)) + first
    spans = geometry.tile_spans(0, tile_cells, num_stages)
    # docs/model.md, section 2: pixels [16 t, 16 (t + m)) need cells [t - 2, t + m + 3).
    assert (spans.structure.start, spans.structure.stop) == (-2, tile_cells + 3)
    assert list(needed) == list(range(-2, tile_cells + 3))
