"""What tests of commands have in common."""

import pytest

from infinitygan_jax import bundle as bundle_lib
from tests.sampling import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a tiny model."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
