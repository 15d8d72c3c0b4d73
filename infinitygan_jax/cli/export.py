"""``python -m infinitygan_jax.cli.export WORKDIR FILE``: a model in one file."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import config as config_lib
from infinitygan_jax.cli import errors, options
from infinitygan_jax.messages import UserError

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib

_KEPT = ("data", "use", "limits")


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python -m infinitygan_jax.cli.export",
        description="Writes a trained model, the generator's moving average, a "
        "discriminator that sees pixels alone, and a detail synthesizer, as one file.",
    )
    parser.add_argument(
        "workdir",
        metavar="WORKDIR",
        help="made by run_train.py: its newest checkpoint, or WORKDIR@STEP; or the "
        "name or file of a model, to give it another detail synthesizer",
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
    parser.add_argument(
        "--detail",
        metavar="WORKDIR",
        help="a run of configs/landscape_detail.py, or a model that has one: the "
        "detail synthesizer that goes with it (default: that of WORKDIR, or of a file "
        "that --overwrite replaces, if they have one)",
    )
    options.add_overwrite(parser)
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    said = {name: getattr(args, name) for name in config_lib.PAINTING}
    said = {name: value for name, value in said.items() if value is not None}
    for name, value in said.items():
        config_lib.check_painting(f"--{name}", value)
    info = dict(map(_pair, args.info))

    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax import files
    from infinitygan_jax.models.generator import check_params
    from infinitygan_jax.training import stored

    files.check_target(args.file, bundle_lib.SUFFIX)
    files.check_free(args.file, args.overwrite)
    bundle = stored.load_bundle(args.workdir)
    check_params(bundle.config.model, bundle.generator)
    replaced = _replaced(args.file)
    detail = _detail(args.detail, bundle, replaced)
    told = replaced.info if replaced is not None else {}
    former = {k: told[k] for k in _KEPT if k in told and k not in info}
    merged = {"command": _command(bundle.config.name), **bundle.info, **former, **info}
    model = dataclasses.replace(bundle.config.model, **said)
    config = dataclasses.replace(_without_places(bundle.config), model=model)
    bundle = dataclasses.replace(
        bundle, config=config, info=merged, detail=detail, digest=""
    )
    size = bundle_lib.save(args.file, bundle)
    print(f"{args.file}: {size / 1e6:.2f} MB, digest {bundle.digest}")
    for name in config_lib.PAINTING:
        print(f"  {name}: {getattr(model, name):g}")
    for name, text in merged.items():
        print(f"  {name}: {text}")
    for name, text in detail.info.items() if detail else ():
        print(f"  detail's {name}: {text}")
    if former:
        print(
            f"what it says of {', '.join(former)} is that of the file that it "
            "replaced; if it no longer holds, give it with --info"
        )


def _detail(
    given: str | None,
    bundle: "bundle_lib.Bundle",
    replaced: "bundle_lib.Bundle | None",
) -> "bundle_lib.DetailPart | None":
    """The detail synthesizer that goes into the file: see ``--detail``.

    Raises:
      ValueError: what is given has none, or one of other sizes than it says.
    """
    from infinitygan_jax.models import detail as detail_lib
    from infinitygan_jax.training import stored

    detail = bundle.detail
    if detail is None and replaced is not None:
        detail = replaced.detail
    if given is not None:
        detail = stored.load_detail(given)
    if detail is None:
        return None
    detail_lib.check_params(detail.config.detail, detail.params)
    info = {"command": _command(detail.config.name), **detail.info}
    return dataclasses.replace(detail, config=_without_places(detail.config), info=info)


def _command(name: str) -> str:
    """What trained a model, as far as its settings say."""
    base = name.removesuffix("_runlocal")  # as `variants` calls it
    variant = "" if base == name else ":runlocal"
    return (
        f"python run_train.py --config=configs/{base}.py{variant} --workdir=WORKDIR "
        "--config.data.source=PHOTOGRAPHS, with the settings that the file holds"
    )


def _without_places(config: config_lib.Config) -> config_lib.Config:
    """Settings without where somebody's files lay, which is nobody else's business."""
    data = dataclasses.replace(config.data, source="")
    train = dataclasses.replace(config.train, initial="", base="")
    return dataclasses.replace(config, data=data, train=train)


def _replaced(file: str) -> "bundle_lib.Bundle | None":
    """A file that is replaced: what it says of its data and use holds for the next."""
    from infinitygan_jax import bundle as bundle_lib

    try:
        return bundle_lib.load(file)
    except ValueError:  # none there, or none that can be read
        return None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"--info ({text}) must be KEY=VALUE; write e.g. data=photos")
    return name, value


if __name__ == "__main__":
    errors.run(main)
