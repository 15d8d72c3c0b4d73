"""``infinitygan VERB ...``: every command under one name."""

import importlib
import sys
from collections.abc import Sequence

from infinitygan_jax.cli import errors
from infinitygan_jax.messages import UserError, nearest

# Each is the module of this folder that has its name.
VERBS = {
    "sample": "paint any rectangle of an infinite picture into a file",
    "train": "train a model, or go on with a run",
    "invert": "find the latents that paint given pictures",
    "outpaint": "paint what lies around a picture",
    "inbetween": "paint a passage from each picture to the next",
    "grid": "paint a sheet of styles and structures",
    "fly": "paint the frames of a flight, as a film",
    "evaluate": "measure how far samples are from photographs",
    "export": "write a run's model as one file",
    "convert": "convert a checkpoint of the public PyTorch code",
    "card": "write the page that describes a model",
}


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names.

    Args:
      argv: the words after the program's name; ``sys.argv``'s if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verb = words[0] if words else "--help"
    if verb in ("-h", "--help"):
        print(_help())
        return
    if verb == "--version":
        from infinitygan_jax.cli import rendering

        print(rendering.software())
        return
    if verb not in VERBS:
        near = nearest(verb, VERBS)
        remedy = f"the nearest is {near}" if near else f"there are {', '.join(VERBS)}"
        raise UserError(f"unknown command {verb!r}; {remedy}")
    command = importlib.import_module(f"infinitygan_jax.cli.{verb}")
    # absl, which train's options are read by, wants the program's name first.
    command.main(["infinitygan train", *words[1:]] if verb == "train" else words[1:])


def _help() -> str:
    lines = [f"  {verb:10} {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: infinitygan VERB [OPTIONS]",
            "",
            *lines,
            "",
            "infinitygan VERB --help lists the options of each.",
        ]
    )
