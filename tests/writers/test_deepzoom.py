"""Deep Zoom: the page shows the picture, from disk, in a browser."""

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax import writers
from infinitygan_jax.writers.deepzoom import DeepZoomWriter
from infinitygan_jax.writers.target import Target
from tests.writers.pictures import TEXTS, picture_of, write

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)


def test_the_descriptor_says_what_the_tiles_are(tmp_path):
    path = tmp_path / "a.dzi"
    write(path, picture_of(700, 1300))
    image = xml.etree.ElementTree.parse(path).getroot()
    assert image.tag == "{http://schemas.microsoft.com/deepzoom/2008}Image"
    assert image.attrib == {"Format": "png", "Overlap": "0", "TileSize": "512"}
    assert image[0].attrib == {"Height": "700", "Width": "1300"}
    # The last level, 11, has up to 2**11 pixels a side; level 0 has one.
    folder = tmp_path / "a_files"
    levels = {p.name for p in folder.iterdir() if p.is_dir()}
    assert levels == {str(level) for level in range(12)}
    assert {p.name for p in (folder / "11").iterdir()} == {
        f"{col}_{row}.png" for col in range(3) for row in range(2)
    }
    assert json.loads((folder / "picture.json").read_text()) == TEXTS
    assert DeepZoomWriter.texts_of(path) == TEXTS


def test_a_damaged_tile_is_named(tmp_path):
    path, picture = tmp_path / "a.dzi", picture_of(1600, 600)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 600)
    folder = tmp_path / "a.dzi.job" / "picture" / "a_files"
    tile = folder / "11" / "0_1.png"
    data = bytearray(tile.read_bytes())
    data[len(data) // 2] ^= 1
    tile.write_bytes(data)
    (folder / "10" / "0_0.png").unlink()  # it is made again from what was damaged
    with pytest.raises(ValueError, match=r"0_1\.png\) must be unaltered.* delete"):
        write(path, picture)


def test_names_and_texts_cannot_break_the_page(tmp_path):
    path = tmp_path / "a b#%<script>.dzi"
    with DeepZoomWriter(
        Target(path, 9, 9, {"Checkpoint": "</dl><script>alert(1)"})
    ) as writer:
        writer.write(picture_of(9, 9))
    page = path.with_suffix(".html").read_text()
    assert page.count("<script") == 2  # OpenSeadragon and ours
    assert 'src="a%20b%23%25%3Cscript%3E_files/openseadragon.min.js"' in page
    assert "&lt;/dl&gt;&lt;script&gt;alert(1)" in page
    assert not re.search(r"https?://(?!schemas\.microsoft\.com)", page)  # no network


def test_the_page_or_tiles_of_another_picture_are_in_the_way(tmp_path):
    (tmp_path / "a.html").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"a\.html\) is there already, and is not"):
            writers.check_output(Target(tmp_path / "a.dzi", 9, 9, overwrite=overwrite))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_shows_the_picture_from_disk(tmp_path):
    # Four quarters of one colour each, of 600 x 600: tiles' edges lie within them.
    picture = np.zeros((1200, 1200, 3), np.uint8)
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 30)]
    for index, colour in enumerate(colours):
        row, col = divmod(index, 2)
        picture[row * 600 :, col * 600 :] = colour
        if col == 0:
            picture[row * 600 :, 600:] = 0
    picture[:600, 600:], picture[600:, 600:] = colours[1], colours[3]
    path = tmp_path / "with space.dzi"
    write(path, picture)
    seen = screenshot(tmp_path, path.with_suffix(".html").as_uri(), 640, 640)
    # The whole picture is fitted and centred; buttons and navigator lie at the edges.
    height, width = seen.shape[:2]
    size = min(height, width)
    for index, colour in enumerate(colours):
        row, col = divmod(index, 2)
        y = height // 2 + (2 * row - 1) * size // 8
        x = width // 2 + (2 * col - 1) * size // 8
        quarter = seen[y - size // 10 : y + size // 10, x - size // 10 : x + size // 10]
        assert np.abs(quarter - colour).max() <= 3, (index, quarter[0, 0])


@contextlib.contextmanager
def served(folder):
    """A web server of a folder; gives its address."""
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("where", ["disk", "server"])
def test_the_page_shows_every_pixel_as_it_is(tmp_path, where):
    # Of noise, as what is rescaled or moved by a part of a pixel changes it all over.
    # Four tiles; in a viewport of its own size the picture is shown 1:1.
    height, width = 600, 700
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    write(tmp_path / "a.dzi", picture)
    # In a frame, as the browser's own window is higher than a page in it, and changes
    # for the screenshot, and the page with it.
    (tmp_path / "frame.html").write_text(
        f'<!DOCTYPE html><body style="margin: 0"><iframe src="a.html" width="{width}" '
        f'height="{height}" style="border: 0; display: block"></iframe>'
    )
    with contextlib.ExitStack() as stack:
        if where == "disk":
            base = tmp_path.as_uri()
        else:
            base = stack.enter_context(served(tmp_path))
        shot = screenshot(tmp_path, f"{base}/frame.html", width + 100, height + 300)
    seen = shot[:height, :width]
    # Buttons lie at the top left, the name at the bottom left, and the navigator, a
    # fifth of the page's size, at the top right.
    shows = np.ones((height, width), bool)
    shows[:60, :300] = shows[-60:, :300] = False
    shows[: height // 5 + 10, -width // 5 - 10 :] = False
    np.testing.assert_array_equal(seen[shows], picture[shows])
    assert (seen != picture).any()  # the buttons; it is the page that was seen


def screenshot(folder, address, width, height):
    """What Chromium shows, as integers (height, width, 3), one pixel for each."""
    shot = folder / "shot.png"
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
        "--force-color-profile=srgb",
        f"--window-size={width},{height}",
        "--virtual-time-budget=8000",
        f"--user-data-dir={folder / 'profile'}",
        f"--screenshot={shot}",
        address,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as image:
        return np.asarray(image.convert("RGB")).astype(int)
