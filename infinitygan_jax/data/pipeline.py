"""Images -> batches of patches, the same whatever the process count and the start.

Training sees one infinite sequence of samples. Sample n takes image shuffle(n) of the
source (a new permutation each epoch) and cuts it with a random generator of its own;
both are functions of (seed, n) alone. Step t is the samples [t B, (t + 1) B) of that
sequence, and process p of P gets the p-th of their P consecutive slices. So a resumed
run needs the step only, and a run on more processes draws the same samples.
"""

from collections.abc import Iterator

import grain
import numpy as np

from infinitygan_jax.data.crops import (
    Cut,
    mirrored_to,
    prepare,
    random_patch,
    random_size,
)
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.data.sources import default_num_threads
from infinitygan_jax.messages import UserError

# Batches waiting for the training step: at most this many bytes, but at least two.
_PREFETCH_BYTES = 2**28


def make_batches(
    source: ImageSource,
    cut: Cut,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Starts the endless stream of this process's batches.

    Threads prepare the next batches while a step runs; there are no worker processes.
    Jumping to `start_step` costs nothing: batches are computed by their number.

    Args:
      source: the images, as `check_source` returns them in its report.
      cut: how patches are cut from them.
      batch_size: samples a step, over all processes.
      seed: of the order and of the patches; not negative.
      start_step: step of the first batch.
      process_index: which process this is, from 0.
      process_count: number of processes.
      num_threads: threads that prepare batches; half of the cores, at least 2, if None;
        0 prepares each batch only when it is asked for.

    Returns:
      Iterator of {"image": float32 (b, p, p, 3) in [-1, 1], "label": float32 (b,) in
      [-1, 1]}, b = batch_size / process_count, p = cut.patch_size. `close()` ends its
      threads early.

    Raises:
      ValueError: counts or the seed are impossible.
    """
    _check_positions(len(source), batch_size, seed, start_step)
    _check_processes(batch_size, process_index, process_count)
    local_size = batch_size // process_count
    order_seed, patch_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
    batches = (
        grain.MapDataset.source(source)
        .shuffle(seed=order_seed)
        # random_map must come after: it numbers samples through all epochs.
        .repeat(None, reseed_each_epoch=True)
        .random_map(_CutPatch(cut), seed=patch_seed)
        .batch(local_size, drop_remainder=True)
    )
    # Number t P + p of the local batches is the p-th slice of step t.
    batches = batches[start_step * process_count + process_index :: process_count]
    return iter(
        batches.to_iter_dataset(_read_options(num_threads, local_size, cut.patch_size))
    )


class _CutPatch(grain.transforms.RandomMap):  # type: ignore[misc]  # untyped
    """Image of a source -> sample."""

    def __init__(self, cut: Cut):
        self._cut = cut

    def random_map(
        self, element: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray | np.float32]:
        cut = self._cut
        full = prepare(element, random_size(cut, rng), cut.pre_size)
        full = mirrored_to(full, cut.patch_size)
        patch, label = random_patch(full, rng, cut.patch_size, cut.flip)
        return {"image": patch, "label": label}


def _read_options(
    num_threads: int | None, local_size: int, patch_size: int
) -> grain.ReadOptions:
    """Threads and waiting batches, within the memory that they may take."""
    if num_threads is None:
        num_threads = default_num_threads()
    batch_bytes = local_size * patch_size * patch_size * 3 * 4
    most = max(2, _PREFETCH_BYTES // batch_bytes)
    num_threads = min(num_threads, most)
    return grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=min(2 * num_threads, most)
    )


def _check_positions(
    num_images: int, batch_size: int, seed: int, start_step: int
) -> None:
    if num_images < 1:
        raise UserError("the source must hold images, not 0; name another one")
    if batch_size < 1:
        raise UserError(f"batch_size ({batch_size}) must be at least 1")
    if seed < 0:
        raise UserError(f"seed ({seed}) must not be negative; take {-seed}")
    if start_step < 0:
        raise UserError(f"start_step ({start_step}) must not be negative; 0 starts")


def _check_processes(batch_size: int, process_index: int, process_count: int) -> None:
    if process_count < 1 or not 0 <= process_index < process_count:
        raise UserError(
            f"process_index ({process_index}) must be from 0 to process_count - 1 "
            f"({process_count - 1})"
        )
    if batch_size % process_count:
        nearest = max(1, round(batch_size / process_count)) * process_count
        raise UserError(
            f"batch_size ({batch_size}) must be a multiple of the number of processes "
            f"({process_count}); the nearest is {nearest}"
        )
