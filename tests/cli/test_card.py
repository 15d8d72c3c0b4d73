"""The card of a model says what its file says, and shows it."""

import pytest
from PIL import Image

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import card
from tests.cli.refusals import refused
from tests.sampling import tiny


def test_a_card_shows_the_model(tmp_path, capsys):
    info = {"step": "12", "data": "five pictures", "use": "research use"}
    bundle = bundle_lib.Bundle(tiny.CONFIG, tiny.params(), info=info)
    bundle_lib.save(tmp_path / "a.safetensors", bundle)
    card.main([str(tmp_path / "a.safetensors"), str(tmp_path / "card.md")])
    page = (tmp_path / "card.md").read_text()
    for words in (
        "| data | five pictures |",
        bundle.digest,
        "**Use.** research use",
        "\n    model.texture_widths = (8, 6)\n",
    ):
        assert words in page
    for name in ("tiny-samples.jpg", "tiny-wide.jpg", "tiny-window.jpg"):
        assert f"](images/{name})" in page
        with Image.open(tmp_path / "images" / name) as picture:
            assert min(picture.size) > 100
            assert len(set(picture.convert("L").tobytes())) > 50
    assert bundle.digest in capsys.readouterr().out


@pytest.mark.parametrize("there", ["card.md", "images/tiny-wide.jpg"])
def test_what_is_there_is_replaced_only_where_asked(
    tmp_path, monkeypatch, capsys, there
):
    monkeypatch.chdir(tmp_path)
    bundle_lib.save("a.safetensors", bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    (tmp_path / "images").mkdir()
    (tmp_path / there).write_text("mine")
    command = ["a.safetensors", "card.md"]
    refused(capsys, card.main, command, there, "--overwrite")
    card.main([*command, "--overwrite"])
    assert (tmp_path / there).read_bytes() != b"mine"


def test_a_missing_model_or_folder_is_one_line(tmp_path, capsys):
    for out in ("card.md", "no/card.md"):
        with pytest.raises(SystemExit) as stop:
            card.main([str(tmp_path / "no.safetensors"), str(tmp_path / out)])
        assert stop.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_seed_out_of_range_is_refused_before_the_model_is_read(capsys, tmp_path):
    command = [str(tmp_path / "none.safetensors"), str(tmp_path / "card.md")]
    refused(capsys, card.main, [*command, "--seed", "-1"], "--seed (-1)", "2**64")
