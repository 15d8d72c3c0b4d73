"""Runs of ``run_train.py`` in processes of their own, on a model of a few channels."""

import os
import pathlib
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping

from tensorboardX.proto import event_pb2

from infinitygan_jax import config as config_lib

ROOT = pathlib.Path(__file__).parents[2]

TINY = {
    "name": "tiny",
    "model": {
        "patch_size": 17,
        "z_global_size": 8,
        "z_local_size": 4,
        "structure_width": 8,
        "texture_widths": (8,),
        "mapping_layers": 1,
        "discriminator_widths": (8, 8, 8),
        "stddev_group": 8,
    },
    "data": {
        "source": "generated:12",
        "full_size": 24,
        "pre_size": 0,
        "num_threads": 1,
    },
    "train": {
        "batch_size": 8,
        "num_steps": 12,
        "in_a_hurry": True,
        "r1_every": 3,
        "path_every": 2,
        "log_every": 1,
        "sheet_every": 0,
        "save_every": 3,
    },
}


def tiny_config(**train) -> config_lib.Config:
    """The settings of the tiny model; keywords change those of training."""
    return config_lib.from_mapping({**TINY, "train": {**TINY["train"], **train}})


def start(folder: pathlib.Path, *flags: str, devices: int = 1) -> subprocess.Popen:
    """Starts ``run_train.py`` on the tiny model; stderr is a pipe of text."""
    return start_config(tiny_file(folder), folder, *flags, devices=devices)


def tiny_file(folder: pathlib.Path) -> str:
    """A file in a folder, written if need be, of the tiny model's settings."""
    file = folder / "tiny_config.py"
    if not file.exists():
        file.write_text(
            "from infinitygan_jax import config\n\n\ndef get_config(arg=''):\n"
            f"    return config.to_config_dict(config.from_mapping({TINY!r}))\n"
        )
    return str(file)


def start_config(
    config: str, cache: pathlib.Path, *flags: str, devices: int = 1
) -> subprocess.Popen:
    """Starts ``run_train.py --config=CONFIG``; compiled code is kept in ``cache``."""
    command = ["run_train.py", f"--config={config}", *flags]
    return start_python(*command, cache=cache, devices=devices)


def start_python(
    *command: str, cache: pathlib.Path | None = None, devices: int = 1
) -> subprocess.Popen:
    """Starts Python on so many devices; stderr is a pipe of text.

    With a folder for compiled code, that is not optimized: for runs whose numbers
    hardly matter and whose time is mostly compiling.
    """
    flags = [f"--xla_force_host_platform_device_count={devices}"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    if cache is not None:
        flags.append("--xla_backend_optimization_level=0")
        flags.append("--xla_llvm_disable_expensive_passes=true")
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache / "compiled")
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    environment["XLA_FLAGS"] = " ".join(flags)
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, timeout: float = 500) -> tuple[int, str]:
    """Exit status and stderr of a run, awaited."""
    try:
        _, text = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, text


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def read_scalars(workdir: pathlib.Path) -> Mapping[tuple[str, int], float]:
    """What TensorBoard shows of a run: (name, step) -> value."""
    scalars = {}
    for path in sorted((workdir / "tensorboard").glob("events*")):
        data = path.read_bytes()
        while data:  # Records: length, its checksum, event, its checksum.
            (size,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    scalars[value.tag, event.step] = value.simple_value
    return scalars
