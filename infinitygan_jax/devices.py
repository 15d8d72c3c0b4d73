"""Arrays on all devices: one mesh axis, copies of what is shared, parts of a batch."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "data"


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis over devices; by default all of them, by process."""
    if devices is None:
        devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    # Not jax.make_mesh, which may reorder devices: a process's samples are consecutive.
    # Without the axis type the mesh would be explicit, which the networks are not for.
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array on every device; each process gives the same."""
    return _put(tree, NamedSharding(mesh, P()))


def split(tree: Any, mesh: Mesh) -> Any:
    """Splits every array's leading axis over the devices; each process gives its part.

    The parts of the processes follow each other in the whole.
    """
    return _put(tree, NamedSharding(mesh, P(AXIS)))


def _put(tree: Any, sharding: NamedSharding) -> Any:
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )
