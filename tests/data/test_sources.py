"""What a data source's name gives, and what is said of one that cannot be used."""

import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax.data import decoding, image_files, sources
from infinitygan_jax.data.crops import Cut
from infinitygan_jax.data.pipeline import make_batches
from infinitygan_jax.data.sources import check_source, open_source


def picture(number, height=40, width=50):
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[0, 0] = number
    return image


def save(path, number, **size):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number, **size)).save(path)


def truncate(path, kept):
    path.write_bytes(path.read_bytes()[:kept])


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(sources.logger, "warning", lambda t, *a: said.append(t % a))
    return said


def test_folder_is_read_recursively_in_the_order_of_paths(tmp_path):
    save(tmp_path / "b.PNG", 3)
    save(tmp_path / "a" / "z" / "1.png", 1)
    save(tmp_path / "a" / "2.bmp", 0)
    save(tmp_path / "c.tif", 4)
    save(tmp_path / "a.png", 2)
    save(tmp_path / ".hidden.png", 9)
    save(tmp_path / ".trash" / "1.png", 9)
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(str(tmp_path))
    # By characters, and "." comes before "/".
    names = ["a.png", "a/2.bmp", "a/z/1.png", "b.PNG", "c.tif"]
    assert [source.name(i) for i in range(len(source))] == names
    for index, number in enumerate((2, 0, 1, 3, 4)):
        np.testing.assert_array_equal(source[index], picture(number))


def archived(folder, path, **options):
    """A .zip archive of what is below a folder."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return str(path)


@pytest.fixture
def left_out(monkeypatch):
    said = []
    monkeypatch.setattr(image_files.logger, "warning", lambda t, *a: said.append(t % a))
    return said


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_as_the_folder_in_it(tmp_path, compression):
    for number, name in enumerate(("a.png", "b/2.bmp", "b/z/1.png", "c.tif")):
        save(tmp_path / "in" / name, number)
    save(tmp_path / "in" / ".hidden.png", 9)
    save(tmp_path / "in" / "__MACOSX" / "b" / "._2.png", 9)
    path = archived(tmp_path / "in", tmp_path / "a.ZIP", compression=compression)
    shutil.rmtree(tmp_path / "in" / "__MACOSX")
    folder = open_source(str(tmp_path / "in"))
    archive = pickle.loads(pickle.dumps(open_source(path)))
    assert archive.names == folder.names
    # So a run may go on with either.
    assert sources.fingerprint(archive) == sources.fingerprint(folder)
    check_source(archive, 8)
    with futures.ThreadPoolExecutor(8) as pool:
        images = list(pool.map(archive.read, list(range(4)) * 8))
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, picture(number % 4))
    assert pickle.loads(pickle.dumps(archive)).names == archive.names  # once open, too
    part = open_source(f"{path}[1:-1]")
    assert (str(part), list(part.names)) == (f"{path}[1:-1]", ["b/2.bmp", "b/z/1.png"])


def damaged(path, case):
    """An archive of seven images, the fourth of which cannot be read; its data."""
    data = bytearray(path.read_bytes())
    if case == "bytes":
        data[data.index(b"3.bmp") + 500] ^= 1
    elif case == "password":  # that one bit of the entry's two headers asks for
        data[data.index(b"PK\3\4", data.index(b"3.bmp") - 40) + 6] |= 1
        data[data.index(b"PK\1\2", data.rindex(b"3.bmp") - 50) + 8] |= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("case", "reason"), [("bytes", "Bad CRC-32"), ("password", "encrypted")]
)
def test_what_is_damaged_in_an_archive_is_named_and_skipped(
    tmp_path, warnings, case, reason
):
    for number in range(7):
        save(tmp_path / "in" / f"{number}.bmp", number)
    path = tmp_path / "a.zip"
    archived(tmp_path / "in", path)
    damaged(path, case)
    report = check_source(open_source(str(path)), 8)
    assert [image.name for image in report.skipped] == ["3.bmp"]
    assert reason in report.skipped[0].reason
    np.testing.assert_array_equal(report.source[3], picture(4))
    assert warnings


def test_an_archive_that_cannot_be_used_is_one_line(tmp_path):
    save(tmp_path / "in" / "1.png", 1)
    path = tmp_path / "a.zip"
    archived(tmp_path / "in", path)
    truncate(path, 60)
    with pytest.raises(ValueError, match=r"readable \.zip file.*make it again"):
        open_source(str(path))
    (tmp_path / "in" / "1.png").rename(tmp_path / "in" / "1.txt")
    archived(tmp_path / "in", path)
    with pytest.raises(ValueError, match="must hold images, but there is none in"):
        open_source(str(path))
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("1.png", b"one")
        archive.writestr("1.png", b"two")
    with pytest.raises(ValueError, match=r"1\.png twice"):
        open_source(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_bounds_are_not_unpacked(
    tmp_path, monkeypatch, left_out, compression
):
    """A few bytes of these may become any number, whatever the archive says."""
    save(tmp_path / "in" / "1.png", 1)
    (tmp_path / "in" / "2").write_bytes((tmp_path / "in" / "1.png").read_bytes())
    path = archived(tmp_path / "in", tmp_path / "a.zip", compression=compression)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)
    source = open_source(path)
    assert (list(source.names), len(left_out)) == (["1.png"], 1)
    with pytest.raises(decoding.ImageError, match="neither stored nor deflated"):
        source.read(0)


def test_a_file_in_an_archive_is_not_unpacked_beyond_bounds(tmp_path, monkeypatch):
    save(tmp_path / "in" / "1.png", 1)
    save(tmp_path / "in" / "2.png", 2, height=8, width=8)
    path = archived(tmp_path / "in", tmp_path / "a.zip")
    monkeypatch.setattr(image_files, "_MOST_BYTES", 1000)
    source = open_source(path)
    with pytest.raises(decoding.ImageError, match=r"is too large \(\d+ bytes\)"):
        source.read(0)
    assert source.read(1).shape == (8, 8, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_image_is_named_and_images_need_no_ending(
    tmp_path, left_out, packed
):
    folder = tmp_path / "in"
    save(folder / "1.png", 1)
    (folder / "1.png").rename(folder / "1")
    save(folder / "2.png", 2)
    root = archived(folder, tmp_path / "a.zip") if packed else str(folder)
    assert list(open_source(root).names) == ["1", "2.png"]
    assert not left_out
    (folder / "README").write_text("BM: no bitmap")
    root = archived(folder, tmp_path / "a.zip") if packed else str(folder)
    assert list(open_source(root).names) == ["1", "2.png"]
    (folder / "film.mp4").write_text("")
    root = archived(folder, tmp_path / "a.zip") if packed else str(folder)
    open_source(root)
    assert left_out == [
        f"leaving out 1 file of {root} that is no image of a kind that is read; the "
        "first is README",
        f"leaving out 2 files of {root} that are no image of a kind that is read; the "
        "first is README",
    ]


def test_what_could_block_is_not_opened(tmp_path, left_out):
    save(tmp_path / "1.png", 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert list(open_source(str(tmp_path)).names) == ["1.png"]
    assert "2 files" in left_out[0]


def test_photographs_of_phones_are_read_where_they_can_be(
    tmp_path, left_out, monkeypatch
):
    pillow_heif = pytest.importorskip("pillow_heif", reason="an extra")
    image = Image.fromarray(picture(1))
    pillow_heif.from_pillow(image).save(tmp_path / "1.HEIC", quality=100)
    found = check_source(open_source(str(tmp_path)), 8).source[0]
    # Lossy, and of noise: like it, not the same.
    assert np.corrcoef(found.ravel(), np.asarray(image).ravel())[0, 1] > 0.5
    save(tmp_path / "2.png", 2)
    bare = tuple(s for s in decoding.SUFFIXES if s not in decoding.HEIF_SUFFIXES)
    monkeypatch.setattr(decoding, "SUFFIXES", bare)
    assert list(open_source(str(tmp_path)).names) == ["2.png"]
    assert left_out[0].endswith(
        "1.HEIC; pip install pillow-heif to read those of .heic"
    )


def test_folders_of_runs_are_left_out_and_one_line_says_so(tmp_path, left_out):
    save(tmp_path / "1.png", 1)
    before = sources.fingerprint(open_source(str(tmp_path)))
    assert not left_out
    for run in ("runs/a", "runs/b"):
        save(tmp_path / run / "sheets" / "step_00000001" / "samples.png", 9)
        (tmp_path / run / "config.json").write_text("{}")
        (tmp_path / run / "checkpoints").mkdir()
    # One of the two alone is nobody's run.
    save(tmp_path / "settings" / "2.png", 2)
    (tmp_path / "settings" / "config.json").write_text("{}")
    source = open_source(str(tmp_path))
    assert list(source.names) == ["1.png", "settings/2.png"]
    lines = [line for line in left_out if "training runs" in line]
    assert lines == [
        f"leaving out 2 folders of training runs below {tmp_path}; the first is runs/a"
    ]
    # So are those in an archive.
    left_out.clear()
    (tmp_path / "runs" / "a" / "checkpoints" / "1").mkdir()
    (tmp_path / "runs" / "b" / "checkpoints" / "1").mkdir()
    packed = archived(tmp_path, tmp_path.with_suffix(".zip"))
    assert list(open_source(packed).names) == list(source.names)
    assert (
        f"2 folders of training runs below {packed}; the first is runs/a"
        in (left_out[0])
    )
    shutil.rmtree(tmp_path / "settings")
    assert sources.fingerprint(open_source(str(tmp_path))) == before
    with pytest.raises(ValueError, match="is the folder of a training run"):
        open_source(str(tmp_path / "runs" / "a"))
    with pytest.raises(ValueError, match="but those of training runs"):
        open_source(str(tmp_path / "runs"))


def test_a_fingerprint_changes_with_the_images_and_not_with_the_place(tmp_path):
    save(tmp_path / "data" / "1.png", 1)
    save(tmp_path / "data" / "2.png", 2)

    def found(folder):
        return sources.fingerprint(open_source(str(tmp_path / folder)))

    first = found("data")
    assert first.startswith("2 images, sha256 ")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert found("copy") == first
    save(tmp_path / "copy" / "2.png", 2, height=41)
    assert found("copy") != first
    (tmp_path / "data" / "2.png").rename(tmp_path / "data" / "3.png")
    assert found("data") != first
    one, other = (np.array([i]) for i in range(2))
    whole = open_source(str(tmp_path / "data"))
    parts = [sources.CheckedSource(whole, usable, 1) for usable in (one, other)]
    assert sources.fingerprint(parts[0]) != sources.fingerprint(parts[1])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[:]", [0, 1, 2, 3, 4]),
        ("[:-2]", [0, 1, 2]),
        ("[-2:]", [3, 4]),
        ("[1:3]", [1, 2]),
        ("[ 1 : -1 ]", [1, 2, 3]),
        ("[3:99]", [3, 4]),
    ],
)
def test_slices_of_folders_follow_pythons_rules(tmp_path, text, numbers):
    for number in range(5):
        save(tmp_path / f"{number}.png", number)
    source = open_source(f"{tmp_path}{text}")
    assert [image[0, 0, 0] for image in source] == numbers
    assert [source.name(i) for i in range(len(source))] == [f"{n}.png" for n in numbers]
    assert str(source) == f"{tmp_path}{text}"
    checked = check_source(pickle.loads(pickle.dumps(source)), 21)
    assert (checked.num_images, len(checked.source)) == (len(numbers), len(numbers))


def test_two_slices_make_up_the_whole_and_have_fingerprints_of_their_own(tmp_path):
    for number in range(5):
        save(tmp_path / "data" / f"{number}.png", number)
    whole = open_source(str(tmp_path / "data"))
    train, judge = (open_source(f"{tmp_path / 'data'}{s}") for s in ("[:-2]", "[-2:]"))
    assert train.names + judge.names == whole.names
    found = {sources.fingerprint(source) for source in (whole, train, judge)}
    assert len(found) == 3
    # The same images under other bounds are the same data.
    same = open_source(f"{tmp_path / 'data'}[0:3]")
    assert sources.fingerprint(same) == sources.fingerprint(train)


@pytest.mark.parametrize("text", ["[x]", "[]", "[3]", "[0.5:]", "[:50%]", "[::2]"])
def test_what_is_no_slice_is_named(tmp_path, text):
    save(tmp_path / "1.png", 1)
    with pytest.raises(ValueError) as caught:
        open_source(f"{tmp_path}{text}")
    assert f"and {text} is no slice; write one such as [:-100]" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[5:]", "[3:1]", "[:-5]", "[:0]"])
def test_empty_slices_are_named(tmp_path, text):
    for number in range(5):
        save(tmp_path / f"{number}.png", number)
    with pytest.raises(ValueError) as caught:
        open_source(f"{tmp_path}{text}")
    assert f"but {text} of the 5 of {tmp_path} holds none" in str(caught.value)


@pytest.mark.parametrize("name", ["some[:1]", "some[x]"])
def test_a_folder_with_brackets_in_its_name_is_itself(tmp_path, name):
    for number in range(2):
        save(tmp_path / "some" / f"{number}.png", number)
        save(tmp_path / name / f"{number}.png", number + 5)
    source = open_source(str(tmp_path / name))
    assert [image[0, 0, 0] for image in source] == [5, 6]
    part = open_source(f"{tmp_path / name}[1:]")
    assert [image[0, 0, 0] for image in part] == [6]


def test_links_are_followed_and_circles_end(tmp_path):
    save(tmp_path / "elsewhere" / "1.png", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "data")
    assert open_source(str(tmp_path / "data")).names == ("link/1.png",)


def test_bad_images_are_named_counted_and_skipped(tmp_path, warnings):
    for number in range(8):
        save(tmp_path / f"{number}.png", number)
    (tmp_path / "1.png").write_bytes(b"\x89PNG but no more")
    truncate(tmp_path / "3.png", 2000)
    save(tmp_path / "4.png", 4, height=20)
    (tmp_path / "6.png").unlink()
    (tmp_path / "6.png").symlink_to(tmp_path / "nowhere")
    report = check_source(open_source(str(tmp_path)), 21)
    assert (report.num_images, report.num_checked) == (8, 8)
    assert [image.name for image in report.skipped] == [
        f"{i}.png" for i in (1, 3, 4, 6)
    ]
    reasons = [image.reason for image in report.skipped]
    assert reasons[0] == "is no JPEG, PNG, WebP, BMP or TIFF image"
    assert reasons[1].startswith("is corrupt (")
    assert reasons[2] == "is too small (50x20, shorter side under 21)"
    assert reasons[3] == "cannot be read (No such file or directory)"
    assert [warnings[-1], len(warnings)] == ["skipping 4 of 8 images", 5]
    assert [image[0, 0, 0] for image in report.source] == [0, 2, 5, 7]


def test_most_bad_is_an_error_and_half_is_not(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.png", number)
    truncate(tmp_path / "0.png", 2000)
    truncate(tmp_path / "1.png", 2000)
    assert len(check_source(open_source(str(tmp_path)), 21).source) == 2
    truncate(tmp_path / "2.png", 2000)
    with pytest.raises(ValueError) as error_info:
        check_source(open_source(str(tmp_path)), 21)
    found = f"3 of 4 in {tmp_path} are not (the first, 0.png, is corrupt"
    assert found in str(error_info.value)


def test_images_that_are_all_too_small_are_an_error():
    with pytest.raises(
        ValueError, match=r"5 of 5 .* too small \(256 pixels, under 389"
    ):
        check_source(open_source("generated:5"), 389)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_check_by_headers_still_finds_cut_off_and_small_files(tmp_path, num_threads):
    for number in range(150):
        save(tmp_path / f"{number:03}.png", number)
    truncate(tmp_path / "100.png", 2000)
    save(tmp_path / "149.png", 0, height=20)
    report = check_source(
        open_source(str(tmp_path)), 21, full_check_limit=9, num_threads=num_threads
    )
    assert [image.name for image in report.skipped] == ["100.png", "149.png"]
    assert len(report.source) == 148


def corrupt_inside(path):
    """Damages the data of a PNG, but neither its header nor its end."""
    data = bytearray(path.read_bytes())
    data[1000:2000] = bytes(1000)
    path.write_bytes(data)


def test_what_a_short_check_misses_is_replaced_by_the_next_image(tmp_path, warnings):
    for number in range(5):
        save(tmp_path / f"{number}.png", number)
    for number in (1, 2, 4):
        corrupt_inside(tmp_path / f"{number}.png")
    source = check_source(open_source(str(tmp_path)), 21, full_check_limit=1).source
    assert len(source) == 5
    for _ in range(2):
        assert [image[0, 0, 0] for image in source] == [0, 3, 3, 3, 0]
    # Each is named once.
    assert sorted(text.split(" is ")[0] for text in warnings) == [
        "1.png",
        "2.png",
        "4.png",
    ]
    for number in (0, 3):
        corrupt_inside(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match=r"image 0\.png .* the 4 after it cannot"):
        source[0]


def test_generated_pictures_depend_on_their_index_only():
    one, other = open_source("generated:3"), open_source("generated:300")
    assert (len(one), len(other)) == (3, 300)
    for index in range(3):
        assert one[index].shape == (256, 256, 3) and one[index].dtype == np.uint8
        np.testing.assert_array_equal(one[index], other[index])
    assert not np.array_equal(other[0], other[1])


def test_generated_pictures_have_a_sky_above_and_ground_below():
    pictures = [np.asarray(image, float) for image in open_source("generated:30")]
    # Ground is textured, sky is smooth: compare neighbouring pixels.
    rough = [np.abs(np.diff(p, axis=1)).mean((1, 2)) for p in pictures]
    assert all(r[-32:].mean() > 2 * r[:32].mean() for r in rough)
    colours = np.array([p[200:].mean((0, 1)) for p in pictures])
    assert (colours.std(0) > 20).all()


def test_sources_can_be_pickled(tmp_path, prepared):
    save(tmp_path / "images" / "1.png", 1)
    for name in (str(tmp_path / "images"), "generated:2", f"tfds:{prepared}"):
        source = check_source(open_source(name), 21).source
        assert str(source) in (name, f"{name}:train")
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(copy[0], source[0])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "",
            r"must be a folder or \.zip \(or FOLDER\[A:B\]\), tfds:NAME or generated:N",
        ),
        ("/no/such/folder[:3]", "must exist, but /no/such/folder does not"),
        (
            "/no/such/folder[3]",
            r"no folder /no/such/folder\[3\], and \[3\] is no slice",
        ),
        ("generated:0", "from 1 to 999999999, not '0'"),
        ("generated:many", "not 'many'"),
        ("generated:-3", "not '-3'"),
        ("s3://bucket/images", r"scheme \(s3:\) must be tfds: or generated:"),
        ("/no/such/folder", "must exist, but /no/such/folder does not"),
        ("tfds:", "names a dataset"),
    ],
)
def test_impossible_sources_are_named(source, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_source(source)
    assert "\n" not in str(caught.value)


def test_folders_without_images_are_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"none below .*endings looked for are \.jpg"):
        open_source(str(tmp_path))
    with pytest.raises(
        ValueError, match=r"notes\.txt is another file; name the folder"
    ):
        open_source(str(tmp_path / "notes.txt"))


def test_unreadable_folders_are_named(tmp_path, monkeypatch):
    save(tmp_path / "1.png", 1)
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):  # The tests may run as root, whom no mode bits stop.
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"locked is not \(Permission denied\); check"):
        open_source(str(tmp_path))


# tfds -----------------------------------------------------------------------------


def prepare_dataset(data_dir, splits, feature="image", config=None):
    """Writes a tfds dataset of PNG images, without TensorFlow; returns its folder."""
    import tensorflow_datasets as tfds

    def example(number):
        file = io.BytesIO()
        Image.fromarray(picture(number, height=30 + number)).save(file, "PNG")
        file.seek(0)
        return {feature: file, "number": number}

    class Holidays(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        __module__ = "holidays"  # Or tfds looks for its files beside this one.
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = (
            [tfds.core.BuilderConfig(name=config, version=VERSION)] if config else []
        )

        def _info(self):
            features = {
                feature: tfds.features.Image(shape=(None, None, 3)),
                "number": tfds.features.Scalar(np.int64),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {
                name: ((f"{number:03}", example(number)) for number in numbers)
                for name, numbers in splits.items()
            }

        def _generate_examples(self):
            raise NotImplementedError

    tfds.disable_progress_bar()
    builder = Holidays(data_dir=str(data_dir), file_format="array_record")
    builder.download_and_prepare()
    return str(builder.data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def prepared(data_dir):
    return prepare_dataset(data_dir, {"train": range(6), "test": range(6, 8)})


def numbers(source):
    for index in range(len(source)):
        number = int(source[index][0, 0, 0])
        np.testing.assert_array_equal(
            source[index], picture(number, height=30 + number)
        )
    return sorted(int(image[0, 0, 0]) for image in source)


def test_tfds_datasets_are_read(data_dir, prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    for name in ("holidays", "holidays:train", "holidays:1.0.0", prepared):
        assert numbers(open_source(f"tfds:{name}")) == [0, 1, 2, 3, 4, 5]
    for name in ("holidays:test", "holidays:1.0.0:test", f"{prepared}:test"):
        assert numbers(open_source(f"tfds:{name}")) == [6, 7]
    assert len(open_source("tfds:holidays:train[:50%]")) == 3
    assert numbers(open_source("tfds:holidays:train+test")) == list(range(8))


def test_tfds_configs_and_other_image_features_are_read(tmp_path, monkeypatch):
    prepare_dataset(tmp_path, {"train": range(3)}, feature="photo", config="small")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert numbers(open_source("tfds:holidays/small:train")) == [0, 1, 2]


def test_tfds_images_are_checked_and_batched(prepared):
    report = check_source(open_source(f"tfds:{prepared}"), 32)
    assert [image.reason[:12] for image in report.skipped] == ["is too small"] * 2
    assert numbers(report.source) == [2, 3, 4, 5]
    cut = Cut(full_size=24, patch_size=21, pre_size=0, flip=True)
    batches = make_batches(report.source, cut, batch_size=8, seed=0)
    batch = next(batches)
    batches.close()
    assert batch["image"].shape == (8, 21, 21, 3)


def test_long_tfds_datasets_are_checked_in_samples(prepared):
    source = open_source(f"tfds:{prepared}")
    report = check_source(source, 1, full_check_limit=2)
    assert (report.num_images, report.num_checked) == (6, 2)
    assert len(report.source) == 6
    # Those not looked at are checked when they are read.
    least = max(source[0].shape[0], source[3].shape[0])
    assert any(image.shape[0] < least for image in source)
    checked = check_source(source, least, full_check_limit=2).source
    assert all(image.shape[0] >= least for image in checked)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", r"found for tfds:nope, but in .* is none"),
        ("holidays:2.0.0", "found for tfds:holidays:2.0.0, but in"),
        ("holidays/big", "found for tfds:holidays/big, but in"),
        (
            "holidays:validation",
            "Unknown split 'validation'.*are (train, test|test, tr)",
        ),
        ("/no/such/builder", "found for tfds:/no/such/builder, but there is none"),
    ],
)
def test_unknown_tfds_names_are_said(data_dir, prepared, monkeypatch, name, message):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    with pytest.raises(ValueError, match=message) as caught:
        open_source(f"tfds:{name}")
    assert "\n" not in str(caught.value)
    if "but in" in message:
        assert str(data_dir) in str(caught.value)


def test_reading_tfds_needs_no_tensorflow(prepared):
    program = (
        "import sys\n"
        "from infinitygan_jax.data.sources import open_source\n"
        f"assert open_source('tfds:{prepared}')[0].shape[2] == 3\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
