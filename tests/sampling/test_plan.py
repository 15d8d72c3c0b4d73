"""Plans: every pixel of a window once, from canonical tiles, at a counted cost."""

import re

import numpy as np
import pytest

from infinitygan_jax import config
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Plan, Tile, Window

TINY = config.ModelConfig(
    patch_size=17,
    z_local_size=5,
    structure_width=6,
    texture_widths=(7,),
)

THREE_STAGES = config.ModelConfig(  # a cell is 8 px, a tile 512
    patch_size=53,
    z_local_size=16,
    structure_width=32,
    texture_widths=(32, 32, 16),
)


@pytest.mark.parametrize("tiles_per_step", [(1, 1), (3, 1), (2, 4)])
@pytest.mark.parametrize(
    "window",
    [
        Window(0, 0, 16, 16),
        Window(0, 0, 1, 1),
        Window(-1, -1, 2, 2),
        Window(-17, 5, 40, 33),
        Window(2**40 + 3, -(2**40) - 3, 20, 50),
        Window(2**62 - 7, -(2**62), 7, 7),
    ],
)
def test_tiles_cover_a_window_once(window, tiles_per_step):
    plan = Plan(window, 16, *tiles_per_step)
    seen = np.zeros((window.height, window.width), int)
    tiles = plan.tiles()
    for row, col in tiles:
        top, bottom = plan.strip_rows(row)
        left, right = plan.strip_cols(col)
        assert row * 16 <= top < bottom <= (row + 1) * 16
        assert col * 16 <= left < right <= (col + 1) * 16
        rows = slice(top - window.top, bottom - window.top)
        seen[rows, left - window.left : right - window.left] += 1
    np.testing.assert_array_equal(seen, 1)
    assert len(tiles) == plan.num_tiles
    steps = len(tiles[:: plan.tiles_per_step])
    assert plan.num_steps == steps


def test_batches_fill_half_of_a_devices_memory():
    tile = costs.device_bytes(Plan(Window(0, 0, 1, 1), 64, 1, 1), TINY)
    two = costs.device_bytes(Plan(Window(0, 0, 1, 1), 64, 1, 2), TINY)
    kernels = tile - (two - tile)
    for number in (1, 2, 5):
        memory = 2 * (kernels + number * (two - tile))
        assert costs.fitting_batch(TINY, 64, memory) == number
        assert costs.fitting_batch(TINY, 64, memory - 2) == max(number - 1, 1)
    assert costs.fitting_batch(TINY, 64, 10**12) == costs.MAX_BATCH
    assert costs.fitting_batch(TINY, 64, None) == 4


@pytest.mark.parametrize(
    ("num_tiles", "num_devices", "batch_size", "expected"),
    [
        (1, 1, 1, 1),
        (10**9, 1, 1, 1),
        (1, 1, 16, 1),
        (2, 1, 16, 2),
        (3, 1, 16, 4),
        (8, 1, 16, 8),
        (9, 1, 16, 16),
        (10**9, 1, 16, 16),
        (1, 8, 4, 1),
        (9, 8, 4, 2),
        (17, 8, 4, 4),
        (32, 8, 4, 4),
        (5, 1, 6, 6),  # not 8
        (4, 1, 6, 4),
        (7, 1, 6, 6),
    ],
)
def test_a_batch_is_no_larger_than_its_tiles_need(
    num_tiles, num_devices, batch_size, expected
):
    assert costs.batch_for(num_tiles, num_devices, batch_size) == expected


def test_a_tile_reads_the_cells_and_noise_of_its_own_pixels():
    # Two stages: a tile of 16 px is 4 cells; docs/model.md, section 2: pixels
    # [X, X + 16 m) with X = 16 t need the cells [t - 2, t + m + 3), and latents 12
    # further.
    rows, cols = planning.tile_axes(Tile(-3, 2), 16, 2)
    assert (rows.structure.start, rows.structure.size) == (-14, 9)
    assert (rows.latent.start, rows.latent.size) == (-26, 33)
    assert (cols.structure.start, cols.structure.size) == (6, 9)
    # 9 cells -> 15 -> 13 -> 23 -> 21 pixels: two and three around the tile.
    assert [span.size for span in cols.noise] == [15, 13, 23, 21]
    assert (cols.pixels.start, cols.pixels.size) == (2 * 16 - 2, 21)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((0, 0, 0, 5), ["5x0", "at least 1x1"]),
        ((0, 0, 5, -1), ["-1x5", "at least 1x1"]),
        ((0, 0, 5, 2**31), ["2147483648x5", "at most 2147483647"]),
        ((2**62 - 4, 0, 5, 5), ["rows", "2**62"]),
        ((0, -(2**62) - 1, 5, 5), ["columns", "2**62"]),
    ],
)
def test_impossible_windows_are_refused(args, words):
    with pytest.raises(ValueError) as error:
        Window(*args)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_tile_sizes_are_multiples_of_a_cell():
    model = config.ModelConfig(patch_size=53)  # three stages: 8 px
    for good in (8, 96, 512, 4096):
        planning.check_tile_size(good, model)
    for bad, nearest in [(0, 8), (-8, 8), (3, 8), (101, 104), (510, 512), (9999, 4096)]:
        with pytest.raises(ValueError, match=rf"\({bad}\).*nearest is {nearest}"):
            planning.check_tile_size(bad, model)


def _taps_of_transposed(n):
    """Pairs of an input and a tap that meet a kept output: 2 i + a in 1 .. 2 n - 1."""
    return sum(1 <= 2 * i + a <= 2 * n - 1 for i in range(n) for a in range(3))


@pytest.mark.parametrize(("height", "width"), [(2, 2), (12, 6), (11, 5)])
def test_operations_count_every_multiplication(height, width):
    # One stage: a cell is 2 px, so 12 x 6 px are 6 x 3 cells, and 5 more a side.
    rows, cols = (height + 1) // 2 + 5, (width + 1) // 2 + 5
    products, channels = 0, 5 + 3
    for lost in (6, 12, 18, 24):
        out = (rows + 24 - lost) * (cols + 24 - lost)
        products += out * 49 * channels * 6
        channels = 6 + 3
    products += _taps_of_transposed(rows) * _taps_of_transposed(cols) * 6 * 7
    rows, cols = 2 * rows - 3 - 2, 2 * cols - 3 - 2  # blurred, then 3x3
    products += rows * cols * 9 * 7 * 7
    products += rows * cols * 7 * 3  # to RGB
    assert costs.operations(TINY, height, width) == 2 * products


def test_tiles_cost_more_than_one_shot_by_their_margins():
    plan = Plan(Window(0, 0, 64, 64), 16)
    tiles = costs.tile_operations(plan, TINY)
    assert tiles == 16 * costs.operations(TINY, 16, 16)
    assert tiles > costs.window_operations(plan, TINY)
    whole = Plan(Window(0, 0, 64, 64), 64)
    assert costs.tile_operations(whole, TINY) == costs.window_operations(whole, TINY)


def test_fillers_of_the_last_batch_are_counted():
    plan = Plan(Window(0, 0, 16, 48), 16, num_devices=2)  # three tiles on two devices
    cost = costs.operations(TINY, 16, 16)
    assert costs.tile_operations(plan, TINY) == 4 * cost


def test_memory_does_not_grow_with_height():
    model = config.ModelConfig()
    low = Plan(Window(0, 0, 4096, 4096), 512)
    tall = Plan(Window(0, 0, 2**30, 4096), 512)
    assert costs.host_bytes(tall) == costs.host_bytes(low)
    assert costs.device_bytes(tall, model) == costs.device_bytes(low, model)


def test_memory_counts_what_is_blended():
    model = config.ModelConfig()
    plan = Plan(Window(0, 0, 64, 64), 512, batch_size=2)
    plain, blended = (costs.device_bytes(plan, model, each) for each in (False, True))
    # For each of two tiles two more of the largest layer, 521 x 521 of 512 channels.
    assert blended - plain == 2 * 2 * 4 * 512 * 521**2
    total = costs.total_bytes(plan, blended, True)
    assert total - costs.total_bytes(plan, plain, True) == blended - plain


def test_tiles_of_one_window_are_those_of_least_work():
    model = THREE_STAGES

    def cost(window, size):
        return costs.tile_operations(Plan(window, size), model)

    sizes = set()
    for window in (
        Window(0, 0, 48, 48),
        Window(40, 40, 48, 48),
        Window(-90, 500, 300, 200),
        Window(7, 7, 1000, 1000),
        Window(500, 500, 48, 48),
        Window(0, 0, 40, 900),
    ):
        size = costs.cheapest_tile_size(model, [window])
        assert cost(window, size) == min(
            cost(window, size) for size in range(64, 513, 64)
        )
        sizes.add(size)
    assert len(sizes) > 2


def test_thin_and_small_pictures_have_small_tiles():
    model = THREE_STAGES

    def work(size):
        return costs.tile_operations(Plan(window, size), model)

    sizes = []
    for height, width in (
        (8, 100_000),
        (100_000, 8),
        (64, 64),
        (512, 512),
        (4096,) * 2,
    ):
        window = Window(-(height // 2), 0, height, width)
        sizes.append(costs.fitting_tile_size(model, window))
        assert work(sizes[-1]) <= min(map(work, (64, 128, 256, 512))) / 0.85
    # Around row 0, where the edges of tiles are: half of a picture lies above it.
    assert sizes == [128, 128, 64, 256, 512]
    # A level's tiles are reduced when they are painted.
    window = Window(0, 0, 64, 64)
    assert costs.fitting_tile_size(model, window, level=1) == 128


def test_latents_are_measured_in_tiles_that_draw_few():
    model = THREE_STAGES
    # Of 8 cells and 29 around: 37**2 latents, or 4 times that across a corner.
    assert costs.measuring_tile_size(model, Window(0, 0, 32, 32)) == 64
    assert costs.measuring_tile_size(model, Window(48, 48, 32, 32)) == 128
    assert costs.measuring_tile_size(model, Window(0, 0, 512, 512)) == 512


def test_default_tiles_are_valid_and_bounded():
    for patch in (17, 29, 53, 101, 197, 389, 773, 1541):
        model = config.ModelConfig(patch_size=patch)
        size = costs.default_tile_size(model)
        planning.check_tile_size(size, model)
        plan = Plan(Window(0, 0, 9, 9), size)
        # A tile's layers, and the kernels that any tile needs.
        kernels = costs.device_bytes(Plan(plan.window, model.cell_size), model)
        assert costs.device_bytes(plan, model) <= 600e6 + kernels


def test_memory_that_is_not_there_is_refused():
    plan = Plan(Window(0, 0, 1000, 10**6), 512)  # 3 strips of 1.536 GB, and tiles
    program = costs.total_bytes(plan, 0, False) - costs.host_bytes(plan)
    costs.check_memory(plan, 0, False, program + 5 * 10**9)
    with pytest.raises(ValueError, match=r"5\.01 GB.*4\.00 GB.*up to (\d+) pix") as e:
        costs.check_memory(plan, 0, False, 4 * 10**9)
    width = int(re.search(r"up to (\d+) pixels", str(e.value))[1])
    costs.check_memory(Plan(Window(0, 0, 1000, width), 512), 0, False, 4 * 10**9)


def test_memory_of_devices_that_share_it_counts():
    model = config.ModelConfig()
    plan = Plan(Window(0, 0, 64, 64), 512, num_devices=8)
    each = costs.device_bytes(plan, model)
    painting = 8 * each
    apart = costs.total_bytes(plan, each, False)
    assert costs.total_bytes(plan, each, True) == apart + painting
    costs.check_memory(plan, each, False, painting)
    with pytest.raises(ValueError, match=r"machine's .*; use a smaller `tile_size`"):
        costs.check_memory(plan, each, True, painting)


@pytest.mark.parametrize("start", [0, 3, -5, -1000, 2**61])
@pytest.mark.parametrize("size", [1, 9, 10, 35])
def test_pieces_are_the_run_modulo_the_period(start, size):
    runs = planning.pieces(start, size, first=-5, period=10)
    positions = [p for first, part in runs for p in range(first, first + part)]
    assert positions == [(p + 5) % 10 - 5 for p in range(start, start + size)]
    assert len(runs) <= size // 10 + 2
    assert planning.pieces(start, size, 0, None) == [(start, size)]


@pytest.mark.parametrize(
    ("period", "nearest"),
    [(30, 30), (31, 32), (0, 2), (-9, 2), (2**31, 2**31 - 2), (10**30, 2**31 - 2)],
)
def test_a_period_that_the_lattice_cannot_hold_names_the_nearest(period, nearest):
    if period == nearest:
        planning.check_period("width", period, TINY.cell_size)
        return
    with pytest.raises(
        ValueError, match=rf"width \({period}\).* nearest is {nearest}$"
    ):
        planning.check_period("width", period, TINY.cell_size)
