"""``python -m infinitygan_jax.cli.export WORKDIR FILE``: a model in one file."""

import dataclasses
from collections.abc import Sequence

from infinitygan_jax import config as config_lib
from infinitygan_jax.cli import errors, options
from infinitygan_jax.messages import UserError

_KEPT = ("data", "use", "limits")


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.export",
        description="Writes a checkpoint of a workdir, the generator's moving average, "
        "and a discriminator that sees pixels alone, as one file.",
    )
    parser.add_argument(
        "workdir",
        metavar="WORKDIR",
        help="made by run_train.py: its newest checkpoint, or WORKDIR@STEP",
    )
    parser.add_argument("file", metavar="FILE", help="ends in .safetensors")
    parser.add_argument(
        "--info",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a text to keep in the file, e.g. --info 'data=5,297 photographs'; may be "
        f"given several times. Of a file that --overwrite replaces, {', '.join(_KEPT)} "
        "stay",
    )
    for name, metavar in zip(config_lib.PAINTING, ("PSI", "K"), strict=True):
        parser.add_argument(
            f"--{name}",
            type=float,
            metavar=metavar,
            help=f"what the file shall say of model.{name}; found by looking at what "
            f"run_sample.py --{name} paints (default: what the workdir says)",
        )
    options.add_overwrite(parser)
    args = parser.parse_args(argv)
    said = {name: getattr(args, name) for name in config_lib.PAINTING}
    said = {name: value for name, value in said.items() if value is not None}
    for name, value in said.items():
        config_lib.check_painting(f"--{name}", value)
    info = dict(map(_pair, args.info))

    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax import files
    from infinitygan_jax.models.generator import check_params
    from infinitygan_jax.training import checkpoint

    files.check_target(args.file, bundle_lib.SUFFIX)
    files.check_free(args.file, args.overwrite)
    bundle = checkpoint.load_for_sampling(args.workdir)
    check_params(bundle.config.model, bundle.generator)
    former = {k: v for k, v in _kept(args.file).items() if k not in info}
    merged = {"command": _command(bundle.config.name), **bundle.info, **former, **info}
    # Where somebody's files lay is nobody else's business; `info` can say more.
    data = dataclasses.replace(bundle.config.data, source="")
    train = dataclasses.replace(bundle.config.train, initial="")
    model = dataclasses.replace(bundle.config.model, **said)
    config = dataclasses.replace(bundle.config, data=data, model=model, train=train)
    bundle = dataclasses.replace(bundle, config=config, info=merged, digest="")
    size = bundle_lib.save(args.file, bundle)
    print(f"{args.file}: {size / 1e6:.2f} MB, digest {bundle.digest}")
    for name in config_lib.PAINTING:
        print(f"  {name}: {getattr(model, name):g}")
    for name, text in merged.items():
        print(f"  {name}: {text}")
    if former:
        print(
            f"what it says of {', '.join(former)} is that of the file that it "
            "replaced; if it no longer holds, give it with --info"
        )


def _command(name: str) -> str:
    """What trained a model, as far as its settings say."""
    base = name.removesuffix("_runlocal")  # as `variants` calls it
    variant = "" if base == name else ":runlocal"
    return (
        f"python run_train.py --config=configs/{base}.py{variant} --workdir=WORKDIR "
        "--config.data.source=PHOTOGRAPHS, with the settings that the file holds"
    )


def _kept(file: str) -> dict[str, str]:
    """What a file that is replaced says of its data and use; it holds for the next."""
    from infinitygan_jax import bundle as bundle_lib

    try:
        former = bundle_lib.load(file).info
    except ValueError:  # none there, or none that can be read
        return {}
    return {key: former[key] for key in _KEPT if key in former}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"--info ({text}) must be KEY=VALUE; write e.g. data=photos")
    return name, value


if __name__ == "__main__":
    errors.run(main)
