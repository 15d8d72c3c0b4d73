"""Each config's ``:runlocal`` trains to its end, and what it made paints."""

import pytest

from infinitygan_jax import World
from tests.training import running


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    "name", ["landscape_lite", "maps", "landscape", "landscape_hr", "landscape_ur"]
)
def test_runlocal_trains_and_paints(name, cache, tmp_path):
    workdir = tmp_path / "run"
    process = running.start_config(
        f"configs/{name}.py:runlocal", cache, f"--workdir={workdir}"
    )
    status, text = running.finish(process)
    assert status == 0, text
    assert "step 4/4" in text
    assert (workdir / "sheets" / "step_00000004" / "samples.png").is_file()
    window = World.load(workdir, tile_size=16)[-8:8, 0:16]
    assert window.shape == (16, 16, 3)
    assert window.std() > 0
