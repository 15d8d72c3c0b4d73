"""Procedural landscapes: training pictures for tests and trials, made on the fly."""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

SIZE = 256

# (sky above, sky at the horizon, far ground, near ground), RGB 0 to 255.
_PALETTES = np.array(
    [
        [(58, 110, 190), (190, 215, 235), (120, 145, 150), (60, 95, 40)],  # meadow
        [(50, 45, 95), (245, 160, 90), (110, 75, 90), (45, 35, 40)],  # sunset
        [(140, 150, 160), (205, 210, 212), (130, 140, 145), (85, 90, 75)],  # overcast
        [(95, 150, 210), (225, 235, 245), (175, 190, 210), (235, 240, 248)],  # snow
        [(80, 140, 200), (235, 215, 180), (190, 130, 95), (205, 155, 95)],  # desert
        [(20, 30, 60), (90, 110, 150), (40, 55, 80), (18, 28, 38)],  # dusk
        [(75, 130, 195), (200, 220, 230), (90, 130, 160), (35, 85, 110)],  # water
    ],
    np.float32,
)
_NUM_RIDGES = 4


def landscape(index: int) -> UInt8[np.ndarray, "256 256 3"]:
    """Paints a landscape: a sky with clouds, a horizon, and textured hills before it.

    Everything is drawn from `index`; smooth noise is Pillow's integer interpolation of
    a coarse grid, so that a picture does not depend on the machine's linear algebra.

    Args:
      index: which picture; not negative.

    Returns:
      uint8 (256, 256, 3), RGB.
    """
    rng = np.random.default_rng([0x1A5D, index])
    palette = _PALETTES[rng.integers(len(_PALETTES))]
    palette = np.clip(palette + rng.normal(0, 14, (4, 3)), 0, 255).astype(np.float32)
    sky, low_sky, far, near = palette
    horizon = rng.uniform(0.35, 0.65) * SIZE
    rows = np.arange(SIZE, dtype=np.float32)[:, None]  # [y, 1]
    height = np.minimum(rows / np.float32(horizon), 1)[..., None]  # [y, 1, 1]
    clouds = np.clip(_noise(rng, (14, 5)) + 0.5 * _noise(rng, (36, 18)), 0, None)
    clouds *= np.float32(rng.uniform(0.2, 0.9))
    picture = sky + (low_sky - sky) * height  # [y, 1, 3]
    picture = picture + (235 - picture) * clouds[..., None]  # [y, x, 3]

    ridge = np.full((SIZE, SIZE), -1, np.int8)  # Number of the hill seen, -1: sky.
    nearness = np.linspace(0, 1, _NUM_RIDGES, dtype=np.float32)
    for number, near_by in enumerate(nearness):
        foot = horizon + (SIZE - horizon) * 0.75 * near_by**1.5
        skyline = foot - _noise(rng, (1, 4 + 3 * number))[0] * rng.uniform(6, 30)
        ridge[rows >= skyline] = number
    land = ridge >= 0
    ridge, texture = ridge[land], _noise(rng, (90, 40)) + _noise(rng, (SIZE, SIZE // 2))
    grain = 22 * nearness[ridge] * texture[land]
    colours = far + (near - far) * nearness[:, None]  # [ridge, 3]
    picture[land] = colours[ridge] + grain[:, None]
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _noise(
    rng: np.random.Generator, cells: tuple[int, int]
) -> Float32[np.ndarray, "256 256"]:
    """Smooth noise in [-1, 1], float32 (256, 256), of `cells` (rows, columns)."""
    grid = Image.fromarray(rng.integers(0, 256, cells, np.uint8))
    smooth = grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / 127.5 - 1
