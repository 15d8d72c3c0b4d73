"""``python -m tests.training.gradients OUT.npz [HOST:PORT PROCESSES ID]``.

Writes the four steps' gradients and metrics, and the samples that the generator is
given, from the devices of one process or of several.
"""

import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

from infinitygan_jax.training import draws
from infinitygan_jax.training.state import init_state
from infinitygan_jax.training.step import make_steps
from tests.training import running

CONFIG = running.tiny_config(batch_size=16)


def main():
    out, *process = sys.argv[1:]
    if process:
        address, count, index = process
        jax.distributed.initialize(address, int(count), int(index))
    steps = make_steps(CONFIG)
    rng = np.random.default_rng(0)
    size, patch = CONFIG.train.batch_size, CONFIG.model.patch_size
    batch = {
        "image": rng.uniform(-1, 1, (size, patch, patch, 3)).astype(np.float32),
        "label": rng.uniform(-1, 1, size).astype(np.float32),
    }
    part = size // jax.process_count()
    own = slice(jax.process_index() * part, (jax.process_index() + 1) * part)
    state = steps.replicate(init_state(CONFIG))
    local = steps.shard_batch({name: array[own] for name, array in batch.items()})
    found = {
        name: jax.device_get(function(state, local))
        for name, function in steps.gradients.items()
    }
    key = draws.step_key(0, draws.D_FAKE, np.int32(0))
    samples = draws.draw_samples(CONFIG, key, np.arange(size)[own], paired=True)
    found["z_local"] = multihost_utils.process_allgather(samples.z_local, tiled=True)
    if jax.process_index() == 0:
        leaves = jax.tree_util.tree_flatten_with_path(found)[0]
        np.savez(out, **{jax.tree_util.keystr(path): leaf for path, leaf in leaves})


if __name__ == "__main__":
    main()
