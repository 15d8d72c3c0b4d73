"""Bundles: what goes in comes out, and nothing altered passes."""

import dataclasses
import hashlib
import json
import struct

import jax
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import config, settings


def _bundle(**changes):
    settings = config.Config(
        name="tiny",
        model=config.ModelConfig(patch_size=17, texture_widths=(8,)),
        data=config.DataConfig(full_size=33, pre_size=0),
    )
    values = {
        "config": settings,
        "generator": {
            "a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)},
            "scale": np.float32(1.5),
        },
        "discriminator": {"head": {"bias": np.zeros((0,), np.float32)}},
        "info": {"step": "7", "data": "none"},
    }
    return bundle_lib.Bundle(**(values | changes))


def test_a_setting_that_comes_later_leaves_the_digest():
    """World files and unfinished pictures name that of a workdir's checkpoint."""
    whole = _bundle()
    parts = {n: getattr(whole, n) for n in ("generator", "discriminator", "info")}
    stored = json.loads(json.dumps(settings.to_dict(whole.config)))
    assert bundle_lib.from_settings(stored, **parts).digest == whole.digest
    del stored["model"]["truncation"]  # as before there were any
    del stored["model"]["noise_scale"]
    former = bundle_lib.from_settings(stored, **parts)
    assert former.config == whole.config
    text = json.dumps(stored, sort_keys=True)
    total = hashlib.sha256(bundle_lib.digest_of(bundle_lib._arrays(whole)).encode())
    total.update(text.encode() + json.dumps(whole.info, sort_keys=True).encode())
    assert former.digest == total.hexdigest() != whole.digest


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "model.safetensors"
    saved = _bundle()
    bundle_lib.save(path, saved)
    loaded = bundle_lib.load(path)
    assert loaded.config == saved.config
    assert loaded.info == saved.info
    assert loaded.digest == saved.digest
    for name in ("generator", "discriminator"):
        before, after = getattr(saved, name), getattr(loaded, name)
        assert jax.tree.structure(before) == jax.tree.structure(after)
        jax.tree.map(np.testing.assert_array_equal, before, after)
        shapes = jax.tree.map(lambda a, b: a.shape == b.shape, before, after)
        assert all(jax.tree.leaves(shapes))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing beside it


def test_a_bundle_without_discriminator(tmp_path):
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, _bundle(discriminator=None))
    assert bundle_lib.load(path).discriminator is None


def test_lines_say_which_arrays_differ():
    one = {"a": {"w": np.zeros((2, 3), np.float32)}, "b": np.zeros((), np.int32)}
    assert bundle_lib.shape_differences(one, one) == []
    other = {"a": {"w": np.zeros((3, 3), np.float32)}, "c": np.zeros((), np.int32)}
    assert bundle_lib.shape_differences(one, other) == [
        "a/w is float32[3, 3] for float32[2, 3]",
        "b is missing for int32[]",
        "c is int32[] for none",
    ]


def test_a_file_from_before_a_setting_existed_loads_and_can_be_saved_again(tmp_path):
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, _bundle())
    whole = bundle_lib._settings

    def former(settings):
        values = json.loads(whole(settings))
        del values["train"]["augment"]
        return json.dumps(values, sort_keys=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_lib, "_settings", former)
        bundle_lib.save(path, _bundle())
    loaded = bundle_lib.load(path)
    assert loaded.config == _bundle().config
    assert loaded.digest != _bundle().digest
    bundle_lib.save(path, loaded)
    assert bundle_lib.load(path).digest == _bundle().digest


def test_digest_is_sha256_of_path_dtype_shape_and_bytes():
    tree = {"b": np.array([1, 2], np.int32), "a": {"c": np.float32(0.5)}}
    text = b"a/c|float32|()\n" + struct.pack("<f", 0.5)
    text += b"b|int32|(2,)\n" + struct.pack("<ii", 1, 2)
    assert bundle_lib.digest_of(tree) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"info": {"step": "8", "data": "none"}},
        {"discriminator": None},
        {"generator": {"a": {"kernel": np.zeros((3, 2), np.float32)}}},
    ],
)
def test_digest_sees_every_change(changes):
    assert _bundle(**changes).digest != _bundle().digest


def test_digest_sees_the_settings():
    bundle = _bundle()
    other = dataclasses.replace(bundle.config, name="other")
    assert _bundle(config=other).digest != bundle.digest


def _fails(path, *words):
    with pytest.raises(ValueError) as error:
        bundle_lib.load(path)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path):
    _fails(tmp_path / "no.safetensors", "no.safetensors", "does not exist")


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, _bundle())
    data = path.read_bytes()
    for size in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        _fails(path, "model.safetensors", "again")


def test_an_altered_parameter_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, _bundle())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # a mantissa bit of the last array
    path.write_bytes(data)
    _fails(path, "digest")


def _rewrite(path, **changes):
    """Writes the file again with changed metadata, and no other change."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] |= changes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def test_altered_metadata_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for changes, word in [
        ({"info": '{"step": "9"}'}, "digest"),
        ({"settings": "{}"}, "digest"),
        ({"settings": "{"}, "unaltered"),
        ({"settings": '{"nmae": "x"}'}, "digest"),
        ({"info": "[]"}, "unaltered"),
        ({"format": "infinitygan_jax bundle 999"}, "bundle 999"),
    ]:
        bundle_lib.save(path, _bundle())
        bundle_lib.load(path)
        _rewrite(path, **changes)
        _fails(path, word)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    safetensors_numpy.save_file({"x": np.zeros(3, np.float32)}, path)
    _fails(path, "format", "infinitygan_jax.cli.export")


def test_saving_refuses_other_endings_and_missing_folders(tmp_path):
    with pytest.raises(ValueError, match="must end in"):
        bundle_lib.save(tmp_path / "model.npz", _bundle())
    with pytest.raises(ValueError, match="does not exist"):
        bundle_lib.save(tmp_path / "no" / "model.safetensors", _bundle())
    assert not list(tmp_path.iterdir())


def test_unknown_bundled_names_list_the_valid_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_lib, "WEIGHTS", tmp_path)
    (tmp_path / "first.safetensors").touch()
    (tmp_path / "second.safetensors").touch()
    assert bundle_lib.bundled("first") == tmp_path / "first.safetensors"
    with pytest.raises(ValueError, match=r"'frist'.*first, second"):
        bundle_lib.bundled("frist")
