"""The model once more: plain, slow NumPy in float64, written from docs/model.md alone.

It shares no code with the package and imports nothing of it, so that an error in one of
the two shows as a difference (tests/models/test_oracle.py, tests/test_fixtures.py).
Arrays are [batch, row, column, channel], kernels [row, column, in, out]; parameters are
nested dictionaries with the page's names.

Where the page gives two forms of one thing, the package's is not the one taken here:
each sample has a modulated kernel of its own, and zeros are put in and blurred.
"""

import math
import statistics

import numpy as np

EPSILON = 1e-8
CELLS, MARGIN, STARTS, CUT, COLUMNS = 11, 12, 10, 3.0, 140
MASK = 2**32 - 1


# Section 3: layers.


def conv(x, kernel, stride=1, padding=0):
    """Cross-correlation: out[i] is the sum over a of x[stride i + a] kernel[a]."""
    x = np.asarray(x, np.float64)
    kernel = np.asarray(kernel, np.float64)
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    taps_down, taps_across = kernel.shape[:2]
    height = (x.shape[1] - taps_down) // stride + 1
    width = (x.shape[2] - taps_across) // stride + 1
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for a in range(taps_down):
        for b in range(taps_across):
            rows = slice(a, a + stride * height, stride)
            columns = slice(b, b + stride * width, stride)
            out += x[:, rows, columns] @ kernel[a, b]
    return out


def conv_transposed(x, kernel):
    """Stride 2: out[2 i + a] += x[i] kernel[a]; n -> 2n + 1 for three taps."""
    x = np.asarray(x, np.float64)
    batch, height, width, _ = x.shape
    out = np.zeros((batch, 2 * height + 1, 2 * width + 1, kernel.shape[3]))
    for a in range(3):
        for b in range(3):
            rows, columns = slice(a, a + 2 * height, 2), slice(b, b + 2 * width, 2)
            out[:, rows, columns] += x @ np.asarray(kernel[a, b], np.float64)
    return out


def blur(x, taps, total, padding=0):
    """Each channel by the outer product of some taps, which sums to ``total``."""
    kernel = np.outer(taps, taps) * (total / np.sum(taps) ** 2)
    channels = np.moveaxis(np.asarray(x, np.float64), -1, 0)[..., None]
    blurred = [conv(each, kernel[:, :, None, None], 1, padding) for each in channels]
    return np.concatenate(blurred, axis=-1)


def crop(x, height, width):
    """The middle of a map."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


def scaled(kernel):
    """Section 3.1."""
    kernel = np.asarray(kernel, np.float64)
    return kernel / math.sqrt(kernel.shape[0] * kernel.shape[1] * kernel.shape[2])


def dense(params, x, multiplier=1.0):
    kernel = np.asarray(params["kernel"], np.float64)
    bias = np.asarray(params["bias"], np.float64)
    return x @ kernel * (multiplier / math.sqrt(len(kernel))) + bias * multiplier


def act(x):
    return math.sqrt(2) * np.where(x >= 0, x, 0.2 * x)


def pixelnorm(x):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + EPSILON)


def upsampled(x):
    """Zeros between positions, then the blur; n -> 2n - 1."""
    batch, height, width, channels = x.shape
    spread = np.zeros((batch, 2 * height - 1, 2 * width - 1, channels))
    spread[:, ::2, ::2] = x
    return blur(spread, (1, 2, 1), 4, padding=1)


def modulated(params, x, style, up=False, demodulated=True):
    """Sections 3.4 and 3.5; 3.8 where the style is a map of the size of x."""
    kernel = scaled(params["kernel"])
    scale = dense(params["modulation"], np.asarray(style, np.float64))
    if style.ndim == 4:
        return _modulated_by_map(kernel, x, scale, up, demodulated)
    out = []
    for own_x, own_scale in zip(x, scale, strict=True):
        own = kernel * own_scale[:, None]
        if demodulated:
            own = own / np.sqrt(np.sum(own**2, axis=(0, 1, 2)) + EPSILON)
        if up:
            cropped = conv_transposed(own_x[None], own)[:, 1:-1, 1:-1]
            out.append(blur(cropped, (1, 2, 1), 4))
        else:
            out.append(conv(own_x[None], own))
    return np.concatenate(out)


def _modulated_by_map(kernel, x, scale, up, demodulated):
    if up:
        y = conv_transposed(x * scale, kernel)[:, 1:-1, 1:-1]
    else:
        y = conv(x * scale, kernel)
    if demodulated:
        squares = np.sum(kernel**2, axis=(0, 1))
        inverse = 1 / np.sqrt(scale**2 @ squares + EPSILON)
        inverse = upsampled(inverse) if up else crop(inverse, *y.shape[1:3])
        y = y * inverse
    return blur(y, (1, 2, 1), 4) if up else y


def styled(params, x, style, noise=None, up=False):
    """Section 3.6."""
    y = modulated(params, x, style, up)
    if noise is not None:
        y = y + float(params["noise_strength"]) * np.asarray(noise, np.float64)
    return act(y + np.asarray(params["bias"], np.float64))


def rgb(params, x, style):
    """Section 3.7, without what is added from the stage before."""
    colours = modulated(params, x, style, demodulated=False)
    return colours + np.asarray(params["bias"], np.float64)


# Section 4: the generator.


def structure(params, z_local, coords, z_global):
    """Section 4.1; z_global is a vector a sample, or a map of the size of z_local."""
    layers = params["structure_synthesizer"]
    x = np.asarray(z_local, np.float64)
    for index in range(4):
        size = x.shape[1:3]
        style = crop(z_global, *size) if z_global.ndim == 4 else z_global
        inputs = np.concatenate([x, crop(np.asarray(coords), *size)], axis=-1)
        x = styled(layers[f"conv_{index}"], inputs, style)
    return x


def mapping(params, z_global):
    """Section 4.2."""
    layers = params["mapping_network"]
    x = pixelnorm(np.asarray(z_global, np.float64))
    for index in range(len(layers)):
        x = act(dense(layers[f"dense_{index}"], x, 0.01))
    return x


def num_stages(params):
    return sum(name.startswith("up_") for name in params["texture_synthesizer"])


def mixed(style, other, first, slots):
    """Section 4.4: slots from ``first`` on take the other style."""
    return np.stack([other if i >= first else style for i in range(slots)], axis=1)


def texture(params, x, styles, noise):
    """Section 4.3; styles are [batch, slot, channel], or a list of 2k maps."""
    layers, stages, picture = params["texture_synthesizer"], num_stages(params), None
    for j in range(1, stages + 1):
        if isinstance(styles, list):
            style_up, style_plain = styles[2 * j - 2], styles[2 * j - 1]
        else:
            style_up, style_plain = styles[:, 2 * j - 2], styles[:, 2 * j - 1]
            style_rgb = styles[:, 2 * j + 1 if j < stages else 2 * stages]
        x = styled(layers[f"up_{j - 1}"], x, style_up, noise[2 * j - 2], up=True)
        x = styled(layers[f"conv_{j - 1}"], x, style_plain, noise[2 * j - 1])
        if isinstance(styles, list):
            style_rgb = crop(style_plain, *x.shape[1:3])
        new = rgb(layers[f"rgb_{j - 1}"], x, style_rgb)
        if picture is not None:
            new = new + crop(upsampled(picture), *x.shape[1:3])
        picture = new
    return picture


def generate(params, z_global, z_local, coords, noise):
    """The picture of one style a sample."""
    slots = 2 * num_stages(params) + 1
    style = mapping(params, z_global)
    made = structure(params, z_local, coords, z_global)
    return texture(params, made, mixed(style, style, slots, slots), noise)


# Section 5: coordinates.


def _grid(v, u):
    """One vector for each cell; v of rows and u of columns."""
    cells = np.empty((len(v), len(u), 3))
    for row, down in enumerate(v):
        for column, across in enumerate(u):
            angle = math.pi * across
            cells[row, column] = math.tanh(down), math.cos(angle), math.sin(angle)
    return cells


def world_coords(row, rows, column, columns, horizon=0.0, stretch=1.0):
    """Of some rows and columns of cells of the world; the horizon is a row of cells."""
    step = 2 * CUT / (CELLS + STARTS - 1)
    v = [step * (r - horizon) / stretch for r in range(row, row + rows)]
    period = COLUMNS - 1
    u = [2 * (c % period) / period - 1 for c in range(column, column + columns)]
    return _grid(v, u)


def training_coords(row_start, column_start, row_jitter=0.0, column_jitter=0.0):
    """Of a training window."""
    size = CELLS + 2 * MARGIN
    v = [0.3 * r - 6.6 + row_jitter for r in range(row_start, row_start + size)]
    places = [(column_start + i) % COLUMNS for i in range(size)]
    u = [2 * c / (COLUMNS - 1) - 1 + column_jitter for c in places]
    return _grid(v, u)


# Section 6.1: the discriminator.


def discriminate(params, picture, group=0):
    """Logits [batch], and the three outputs of the coordinate head."""

    def layer(layer_params, x, **options):
        y = conv(x, scaled(layer_params["kernel"]), **options)
        return act(y + np.asarray(layer_params["bias"], np.float64))

    x = layer(params["from_rgb"], picture)
    blocks = [int(name[6:]) for name in params if name.startswith("block_")]
    for number in sorted(blocks, reverse=True):
        own = params[f"block_{number}"]
        y = layer(own["conv"], x, padding=1)
        y = layer(own["down"], blur(y, (1, 3, 3, 1), 1, padding=2), stride=2)
        z = blur(x, (1, 3, 3, 1), 1, padding=1)
        z = conv(z, scaled(own["skip"]["kernel"]), stride=2)
        x = (y + z) / math.sqrt(2)
    batch, height, width, channels = x.shape
    size = min(group or batch, batch)
    spread = np.empty((batch, height, width, 1))
    for first in range(0, batch, size):
        own = x[first : first + size]
        deviation = np.sqrt(np.mean((own - own.mean(axis=0)) ** 2, axis=0) + EPSILON)
        spread[first : first + size] = deviation.mean()
    x = layer(params["final_conv"], np.concatenate([x, spread], axis=-1), padding=1)
    channels = x.shape[-1]
    flat = np.empty((batch, channels * height * width))
    for ch in range(channels):
        for row in range(height):
            for column in range(width):
                place = (ch * height + row) * width + column
                flat[:, place] = x[:, row, column, ch]
    logits = dense(params["logit"], act(dense(params["dense"], flat)))
    coords = dense(params["coords"], act(dense(params["coords_dense"], flat)))
    return logits[:, 0], coords


# Section 7: what is worked out by differences, where the package takes gradients.


def derivative(function, step):
    """Central difference of a function of one number, at 0."""
    return (function(step) - function(-step)) / (2 * step)


def path_lengths(params, made, styles, noise, projection, step=1e-5):
    """Section 7.4; samples do not see each other, so all are moved at once."""
    weight = projection / math.sqrt(projection.shape[1] * projection.shape[2])
    slopes = np.empty(styles.shape)
    for slot in range(styles.shape[1]):
        for channel in range(styles.shape[2]):
            direction = np.zeros(styles.shape)
            direction[:, slot, channel] = 1

            def projected(amount, direction=direction):
                picture = texture(params, made, styles + amount * direction, noise)
                return np.sum(picture * weight, axis=(1, 2, 3))

            slopes[:, slot, channel] = derivative(projected, step)
    return np.sqrt(np.mean(slopes**2, axis=(1, 2)))


def r1_along(params, picture, directions, group, step=1e-5):
    """Section 7.3, of some directions of each sample's pixels, [batch, number, ...]."""
    total = 0.0
    for sample in range(len(picture)):
        for direction in directions[sample]:
            along = np.zeros(picture.shape)
            along[sample] = direction

            def judged(amount, along=along):
                return np.sum(discriminate(params, picture + amount * along, group)[0])

            total += derivative(judged, step) ** 2
    return total / len(picture)


# Section 9: random fields, in Python's integers.


def threefry(key, counter):
    rotations = ((13, 15, 26, 6), (17, 29, 16, 24))
    k = (key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA)
    x0, x1 = (counter[0] + k[0]) & MASK, (counter[1] + k[1]) & MASK
    for g in range(5):
        for by in rotations[g % 2]:
            x0 = (x0 + x1) & MASK
            x1 = ((x1 << by | x1 >> (32 - by)) & MASK) ^ x0
        x0 = (x0 + k[(g + 1) % 3]) & MASK
        x1 = (x1 + k[(g + 2) % 3] + g + 1) & MASK
    return x0, x1


def words(number):
    number %= 2**64
    return number >> 32, number & MASK


def normal(bits):
    """sqrt(2) erfinv(u) is the point below which (1 + u) / 2 of all draws lie."""
    odd = 2 * (bits >> 9) + 1 - 2**23
    return statistics.NormalDist().inv_cdf((1 + odd / 2**23) / 2)


def field(seed, stream, row, rows, column, columns, channels):
    """A window of a field, [rows, columns, channels]."""
    key = threefry(words(seed), (0, stream))
    values = np.empty((rows, columns, channels))
    for i in range(rows):
        row_key = threefry(key, words(row + i))
        for j in range(columns):
            cell = threefry(row_key, words(column + j))
            if channels == 1:
                values[i, j, 0] = normal(cell[0])
                continue
            for channel in range(channels):
                values[i, j, channel] = normal(threefry(cell, (0, channel))[0])
    return values


# Section 10: painting.


def world(params, sizes, seed, top, left, height, width, truncation, noise_scale, span):
    """Colours of world pixels, not limited; the window's sides are whole cells.

    These are multiples of a cell's size. ``sizes`` are channels of z_global and of
    z_local, ``span`` is the vertical span in pixels, and row 0 is the horizon.
    """
    stages = num_stages(params)
    cell = 2**stages
    corner = top // cell - 2, left // cell - 2
    numbers = height // cell + 5, width // cell + 5
    # Of z_local and coordinates: the corner, and how many, along rows and columns.
    latent = [(corner[i] - MARGIN, numbers[i] + 2 * MARGIN) for i in (0, 1)]
    coords = world_coords(*latent[0], *latent[1], 0.0, span / (20 * cell))
    z_global = field(seed, 0, 0, 1, 0, 1, sizes[0])[:, 0]
    z_local = truncation * field(seed, 1, *latent[0], *latent[1], sizes[1])
    noise, runs = [], list(zip(corner, numbers, strict=True))
    for stage in range(stages):
        up = [(2 * start + 1, 2 * n - 3) for start, n in runs]
        runs = [(2 * start + 2, 2 * n - 5) for start, n in runs]
        noise.append(field(seed, 16 + 2 * stage, *up[0], *up[1], 1))
        noise.append(field(seed, 17 + 2 * stage, *runs[0], *runs[1], 1))
    noise = [noise_scale * each[None] for each in noise]
    picture = generate(params, z_global, z_local[None], coords[None], noise)[0]
    return picture[2 : 2 + height, 2 : 2 + width]
