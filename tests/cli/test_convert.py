"""The convert command, on checkpoints of the public layout made here."""

import numpy as np
import pytest

from infinitygan_jax import World, bundle
from infinitygan_jax.cli import convert
from tests.cli.refusals import refused
from tests.conversion.public import state_dict


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the extra 'convert' is not installed")


@pytest.fixture
def checkpoint(tmp_path, torch):
    arrays = state_dict()
    parts = {
        side: {k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k[0] == side[0]}
        for side in ("g", "d")
    }
    parts["g_ema"] = {k: 0.5 * v for k, v in parts["g"].items()}
    path = tmp_path / "model.pth.tar"
    torch.save({**parts, "g_optim": {"lr": 0.1}}, path)
    return path


@pytest.mark.parametrize(("choice", "factor"), [("ema", 0.5), ("raw", 1.0)])
def test_a_checkpoint_becomes_a_file_that_paints(checkpoint, tmp_path, choice, factor):
    out = tmp_path / "model.safetensors"
    convert.main([str(checkpoint), str(out), "--generator", choice])
    loaded = bundle.load(out)
    theirs = state_dict()["g/texture_synthesizer.mapping.1.weight"]
    ours = loaded.generator["mapping_network"]["dense_0"]["kernel"]
    np.testing.assert_array_equal(ours, factor * theirs.T)
    assert loaded.discriminator is not None
    assert World.load(out, tile_size=32)[-8:8, 0:16].shape == (16, 16, 3)


def test_a_plane_is_converted_too(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_read", lambda *unused: state_dict(num_coords=4))
    out = tmp_path / "model.safetensors"
    convert.main(["plane.pth.tar", str(out)])
    config = bundle.load(out).config
    assert (config.model.coords, config.train.coords_weight) == ("plane", 0.0)
    assert World.load(out, tile_size=32)[-8:8, 0:16].shape == (16, 16, 3)


def test_a_file_that_is_there_is_replaced_only_where_asked(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(convert, "_read", lambda *unused: state_dict())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_text("mine")
    command = ["a.pth.tar", "model.safetensors"]
    refused(capsys, convert.main, command, "model.safetensors", "--overwrite")
    convert.main([*command, "--overwrite"])
    assert bundle.load("model.safetensors").generator


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("case", ["missing", "cut", "pickle", "incomplete", "text"])
def test_bad_files_are_one_line(checkpoint, torch, tmp_path, capsys, case):
    path, out = tmp_path / "bad.pth.tar", tmp_path / "out.safetensors"
    if case == "cut":
        path.write_bytes(checkpoint.read_bytes()[:2000])
    elif case == "pickle":
        torch.save({"g": Evil(), "d": {}, "g_ema": {}}, path)
    elif case == "incomplete":
        torch.save({"g_ema": {}}, path)
    elif case == "text":
        path.write_text("no checkpoint")
    with pytest.raises(SystemExit) as stop:
        convert.main([str(path), str(out)])
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert "this must not run" not in printed.out
    assert not out.exists()
