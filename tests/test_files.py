"""Files: what cannot be written is refused before any work."""

import pytest

from infinitygan_jax import files


def test_a_name_that_can_be_written_is_let_through_without_a_trace(tmp_path):
    (tmp_path / "there.npz").write_text("dear")
    for name in ("a.npz", "there.npz", "x" * (files.MAX_NAME - 4) + ".npz"):
        files.check_target(tmp_path / name, ".npz")
        files.write_whole(tmp_path / name, b"bytes")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.png", r"a\.png.*must end in \.npz; use a\.npz"),
        ("no/a.npz", "no.*does not exist; create it"),
        ("file/a.npz", "must be a folder, and .*file is a file"),
        ("folder.npz", "is a folder; give a file name in it"),
        ("x" * files.MAX_NAME + ".npz", "name.*1 to 230 printable"),
        ("a\n.npz", "printable"),
        ("/proc/a.npz", "/proc.*cannot be written .*; choose another"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, words):
    (tmp_path / "file").write_text("dear")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=words):
        files.check_target(tmp_path / name, ".npz")


def test_a_file_that_is_read_is_not_written(tmp_path, monkeypatch):
    """By whatever name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_text("dear")
    (tmp_path / "link.png").symlink_to("a.png")
    files.check_kept(["a.png"], [tmp_path / "b.png"])
    for name in ("a.png", "./a.png", "link.png"):
        with pytest.raises(ValueError, match=r"a\.png would be overwritten; choose"):
            files.check_kept(["a.png"], [tmp_path / "b.png", tmp_path / name])
