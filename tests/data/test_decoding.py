"""Images of every kind become upright RGB, or say why not."""

import io

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax.data import decoding

# A grey ramp of 8 x 6, different at each corner.
RAMP = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def encoded(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def grey(values):
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, -1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_rgb_is_kept(kind):
    np.testing.assert_array_equal(decoding.decode(encoded(COLOURS, kind)), COLOURS)


def test_lossless_webp_is_kept():
    file = encoded(COLOURS, "WEBP", lossless=True)
    np.testing.assert_array_equal(decoding.decode(file), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_grey_fills_all_channels(kind):
    np.testing.assert_array_equal(decoding.decode(encoded(RAMP, kind)), grey(RAMP))


def test_one_bit_is_black_and_white():
    bits = (np.arange(48).reshape(6, 8) % 2).astype(bool)
    want = grey(bits * 255)
    np.testing.assert_array_equal(decoding.decode(encoded(bits)), want)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_scaled_not_clipped(kind):
    values = np.array([[0, 128, 129, 257], [32768, 65278, 65406, 65535]], np.uint16)
    # 255/65535 = 1/257: 128/257 rounds to 0, 129/257 to 1, 65278 = 254 x 257, and
    # 32768/257 = 127.50 (just above the half).
    want = grey([[0, 0, 1, 1], [128, 254, 254, 255]])
    np.testing.assert_array_equal(decoding.decode(encoded(values, kind)), want)


def test_cmyk_becomes_rgb():
    inks = np.zeros((6, 8, 4), np.uint8)
    inks[:3, :, 0] = 255  # Cyan takes all red.
    inks[3:, :, 3] = 255  # Black takes all.
    file = encoded(Image.fromarray(inks, "CMYK"), "TIFF")
    want = np.zeros((6, 8, 3), np.uint8)
    want[:3] = (0, 255, 255)
    np.testing.assert_array_equal(decoding.decode(file), want)


def test_cmyk_jpeg_becomes_rgb():
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 1] = 255  # Magenta takes all green.
    image = decoding.decode(encoded(Image.fromarray(inks, "CMYK"), "JPEG"))
    assert np.abs(image.astype(int) - (255, 0, 255)).max() <= 3


def test_palette_becomes_rgb():
    image = Image.fromarray(RAMP // 100, "P")  # Indices 0, 1 and 2.
    colours = np.array([(9, 8, 7), (60, 50, 40), (250, 0, 100)], np.uint8)
    image.putpalette(colours.tobytes())
    np.testing.assert_array_equal(decoding.decode(encoded(image)), colours[RAMP // 100])


def test_transparent_palette_lies_on_white():
    image = Image.fromarray(RAMP // 100, "P")
    colours = np.array([(9, 8, 7), (60, 50, 40), (250, 0, 100)], np.uint8)
    image.putpalette(colours.tobytes())
    colours[1] = 255
    got = decoding.decode(encoded(image, transparency=1))
    np.testing.assert_array_equal(got, colours[RAMP // 100])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_lies_on_white(mode):
    colour = (40,) if mode == "LA" else (40, 80, 120)
    pixels = np.array([[(*colour, 0), (*colour, 255), (*colour, 51)]], np.uint8)
    got = decoding.decode(encoded(Image.fromarray(pixels, mode)))
    # 51/255 = a fifth of the colour, four fifths of white.
    fifth = [value / 5 + 204 for value in colour]
    want = np.broadcast_to(np.array([[255] * len(colour), colour, fifth]), got[0].shape)
    np.testing.assert_allclose(got[0], want, atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    # How a stored picture is to be shown, by the EXIF standard: where the first row and
    # the first column of the file go.
    shown = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],  # First row at the right.
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[::-1],  # First row at the left.
    }[orientation]
    stored = np.asarray(Image.fromarray(COLOURS).resize((32, 24)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}
    file = encoded(stored, kind, exif=exif, **options.get(kind, {}))
    got = decoding.decode(file)
    want = shown(stored)
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).mean() < 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_matter():
    file = encoded(grey(RAMP), "PNG", exif=b"Exif\x00\x00MM\x00\x2anonsense")
    np.testing.assert_array_equal(decoding.decode(file), grey(RAMP))


def photograph(kind, **options):
    values = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    return encoded(values, kind, **options).getvalue()


KINDS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("TIFF", {}),
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_cut_off_files_are_found_by_reading_and_by_checking(kind, options, full):
    data = photograph(kind, **options)
    decoding.check(io.BytesIO(data), 96, full)
    for kept in (0, 10, len(data) // 2, len(data) - 400):
        cut = data[:kept]
        with pytest.raises(decoding.ImageError):
            decoding.check(io.BytesIO(cut), 96, full)
        with pytest.raises(decoding.ImageError):
            decoding.decode(io.BytesIO(cut))


def test_trailing_bytes_do_not_make_a_file_bad():
    data = photograph("JPEG") + b"maker's trailer"
    decoding.check(io.BytesIO(data), 96, full=False)


def test_checking_agrees_with_reading_on_kinds():
    # Floating point and wide integers have no agreed white.
    floating = encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF")
    wide = encoded(Image.fromarray(RAMP.astype(np.int32) * 100_000), "TIFF")
    for file, reason in ((floating, r"unusable kind \(F\)"), (wide, "beyond 16 bits")):
        for full in (True, False):
            with pytest.raises(decoding.ImageError, match=reason):
                decoding.check(io.BytesIO(file.getvalue()), 1, full)
        with pytest.raises(decoding.ImageError, match=reason):
            decoding.decode(file)


def test_small_images_are_refused_by_their_shorter_side():
    decoding.decode(encoded(COLOURS), min_size=6)
    with pytest.raises(decoding.ImageError, match=r"too small \(8x6, .* under 7\)"):
        decoding.decode(encoded(COLOURS), min_size=7)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused(monkeypatch):
    # The picture has 48 pixels; refused is what is over twice Pillow's limit.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24)
    assert decoding.decode(encoded(COLOURS)).shape == (6, 8, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 23)
    with pytest.raises(decoding.ImageError, match=r"too large .over 46 pixels"):
        decoding.decode(encoded(COLOURS))


def test_other_formats_are_not_opened():
    with pytest.raises(decoding.ImageError, match="is no JPEG, PNG, WebP, BMP or TIFF"):
        decoding.decode(encoded(RAMP, "PCX"))


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        decoding.decode(str(tmp_path / "gone.png"))
