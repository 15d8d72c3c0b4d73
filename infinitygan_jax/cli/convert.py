"""``python -m infinitygan_jax.cli.convert IN.pth.tar OUT.safetensors``."""

import pathlib
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infinitygan_jax.cli import errors
from infinitygan_jax.messages import one_line

_GENERATORS = {"ema": "g_ema", "raw": "g"}


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.convert",
        description="Converts a checkpoint of the public PyTorch code to one file that "
        "run_sample.py --checkpoint takes. Needs the extra 'convert' (PyTorch).",
    )
    parser.add_argument("checkpoint", metavar="IN.pth.tar", help="holds g, d and g_ema")
    parser.add_argument("out", metavar="OUT.safetensors", help="file to write")
    parser.add_argument(
        "--generator",
        choices=tuple(_GENERATORS),
        default="ema",
        help="the moving average (default) or the generator as trained",
    )
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)

    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax import conversion, files
    from infinitygan_jax.config import Config, DataConfig, TrainConfig

    files.check_target(args.out, bundle_lib.SUFFIX)
    name = _GENERATORS[args.generator]
    arrays = _read(pathlib.Path(args.checkpoint), {"g": name, "d": "d"})
    converted = conversion.from_state_dict(arrays)
    model = converted.config
    no_vertical = {"coords_weight": 0.0} if model.coords == "plane" else {}
    config = Config(
        name=pathlib.Path(args.out).stem,
        model=model,
        # Its training data is unknown; the full image cannot be below the patch.
        data=DataConfig(full_size=max(DataConfig().full_size, model.patch_size)),
        train=TrainConfig(**no_vertical),
    )
    info = {"converted_from": f"{pathlib.Path(args.checkpoint).name} ({name}, d)"}
    bundle = bundle_lib.Bundle(
        config, converted.generator, converted.discriminator, info
    )
    size = bundle_lib.save(args.out, bundle)
    widths = ", ".join(map(str, model.texture_widths))
    print(f"{args.out}: {size / 1e6:.2f} MB, digest {bundle.digest}")
    print(f"  patches of {model.patch_size} px, texture widths {widths}")


def _read(path: pathlib.Path, parts: Mapping[str, str]) -> dict[str, np.ndarray]:
    """State dicts of a checkpoint file as ``PREFIX/NAME`` to arrays.

    Args:
      path: a file written by ``torch.save``.
      parts: our prefix to the name of the state dict in the file.

    Raises:
      ValueError: PyTorch or the file is missing, the file cannot be read safely, or a
        state dict is missing from it.
    """
    if not path.is_file():
        raise ValueError(f"checkpoint ({path}) does not exist; give a .pth.tar file")
    try:
        import torch
    except ImportError:
        raise ValueError(
            "converting needs PyTorch, which is not installed; "
            "pip install 'infinitygan_jax[convert]'"
        ) from None
    try:
        # weights_only: a pickle from outside could run anything.
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f"checkpoint ({path}) must be a whole file of tensors written by "
            f"torch.save, and it is not ({one_line(error)[:200]}); download it "
            "again"
        ) from error
    arrays = {}
    for prefix, name in parts.items():
        state = loaded.get(name) if isinstance(loaded, Mapping) else None
        if not isinstance(state, Mapping):
            raise ValueError(
                f"checkpoint ({path}) has no state dict {name!r}; it must hold "
                f"{', '.join(parts.values())}"
            )
        arrays |= {f"{prefix}/{key}": _array(key, x) for key, x in state.items()}
    return arrays


def _array(key: str, value: Any) -> np.ndarray:
    if not hasattr(value, "detach"):
        raise ValueError(f"key {key} is a {type(value).__name__} and must be a tensor")
    return value.detach().float().numpy()


if __name__ == "__main__":
    main()
