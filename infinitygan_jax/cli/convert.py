"""``python -m infinitygan_jax.cli.convert IN.pth.tar OUT.safetensors``."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from infinitygan_jax.cli import errors, options
from infinitygan_jax.conversion import torch_files
from infinitygan_jax.messages import UserError

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
    options.add_overwrite(parser)
    args = parser.parse_args(argv)

    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax import conversion, files
    from infinitygan_jax.config import Config, DataConfig, TrainConfig

    files.check_target(args.out, bundle_lib.SUFFIX)
    files.check_free(args.out, args.overwrite)
    name = _GENERATORS[args.generator]
    arrays = _read(pathlib.Path(args.checkpoint), {"g": name, "d": "d"})
    converted = conversion.from_state_dict(arrays)
    model = converted.config
    train = TrainConfig()
    if model.coords == "plane":  # without up and down
        train = TrainConfig(coords_weight=0.0)
    config = Config(
        name=pathlib.Path(args.out).stem,
        model=model,
        # Its training data is unknown; the full image cannot be below the patch.
        data=DataConfig(full_size=max(DataConfig().full_size, model.patch_size)),
        train=train,
    )
    info = {"converted_from": f"{pathlib.Path(args.checkpoint).name} ({name}, d)"}
    assert converted.generator is not None  # `_read` names both
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
    loaded = torch_files.load(path, "checkpoint")
    arrays: dict[str, np.ndarray] = {}
    for prefix, name in parts.items():
        state = loaded.get(name) if isinstance(loaded, Mapping) else None
        if not isinstance(state, Mapping):
            raise UserError(
                f"checkpoint ({path}) has no state dict {name!r}; it must hold "
                f"{', '.join(parts.values())}"
            )
        named = torch_files.arrays_of(state)
        arrays |= {f"{prefix}/{key}": array for key, array in named.items()}
    return arrays


if __name__ == "__main__":
    errors.run(main)
