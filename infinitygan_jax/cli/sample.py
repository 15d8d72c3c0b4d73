"""``run_sample.py``: paints any rectangle of an infinite picture into a file."""

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from infinitygan_jax import files, writers
from infinitygan_jax.cli import errors, options, rendering, world_options, worlds
from infinitygan_jax.config import DEFAULT_MODEL
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.writers import job, pyramid

if TYPE_CHECKING:  # imports JAX, which --help and mistakes need not wait for
    from infinitygan_jax import bundle as bundle_lib
    from infinitygan_jax.sampling.world import World
    from infinitygan_jax.worldfile import documents

STANDARD_OUTPUT = "-"  # of --out


def _parser() -> argparse.ArgumentParser:
    parser = errors.ArgumentParser(
        prog="python run_sample.py",
        description="Paints any rectangle of an infinite picture into a file.",
    )
    parser.add_argument(
        "--size",
        required=True,
        metavar="WIDTHxHEIGHT",
        help="pixels of the picture, e.g. 4096x4096",
    )
    parser.add_argument(
        "--origin",
        metavar="Y,X",
        help="row and column of the top left pixel, in pixels of the picture shown; "
        "row 0 is the horizon, unless --horizon moves it (default: the horizon in the "
        "middle, column 0 at the left)",
    )
    world_options.add_to(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to write; endings {', '.join(writers.WRITERS)}; - writes a PNG to "
        "standard output (default: a name that says what it is, in the current folder)",
    )
    options.add_quality(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a finished picture, and an unfinished one of other arguments; "
        "what shards painted stays",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="paint only part I (0 to N - 1) of the tiles of a .zarr or .dzi, beside "
        "other processes or machines; --finish puts the parts together",
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help="paint nothing, and make one picture of what was painted with --shard",
    )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print the plan (tiles, devices, memory, operations) and stop",
    )
    return parser


@errors.exit_on_error
def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.out != STANDARD_OUTPUT:
        _run(parser, args)
        return
    _check_streamed(args)
    # Written aside first, as all pictures are: the output is whole, or empty.
    with tempfile.TemporaryDirectory(prefix="infinitygan_jax-") as folder:
        path = pathlib.Path(folder) / "picture.png"
        with contextlib.redirect_stdout(sys.stderr):
            aside = argparse.Namespace(**{**vars(args), "out": str(path)})
            try:
                _run(parser, aside, "standard output")
            except UserError as error:  # not of a file that nobody named
                told = str(error).replace(str(path), "standard output")
                raise UserError(told) from error
        if not args.dry_run:
            errors.send(path)


def _check_streamed(args: argparse.Namespace) -> None:
    """Checks that standard output can take what is asked for.

    Raises:
      ValueError: it cannot.
    """
    for name in ("seeds", "shard", "finish", "quality"):
        if getattr(args, name) not in (None, False):
            raise UserError(
                f"--{name} does not go with --out {STANDARD_OUTPUT}, which is one PNG "
                "to standard output; name a file with --out"
            )
    if sys.stdout.isatty() and not args.dry_run:
        raise UserError(
            f"--out {STANDARD_OUTPUT} writes a PNG to standard output, which must not "
            "be a terminal; send it to a program with |, or to a file with >"
        )


def _run(
    parser: argparse.ArgumentParser, args: argparse.Namespace, shown: str | None = None
) -> None:
    """Paints what is asked for, or says what that would take.

    Args:
      parser: of the command.
      args: what was parsed.
      shown: what messages call the file, if not by its name.
    """
    start = time.perf_counter()
    document = worlds.opened(args)
    shard = options.shard_of(args.shard)
    if shard and args.finish:
        raise UserError(
            "--shard paints a part and --finish puts all parts together; give one of "
            "them at a time"
        )
    size = size_of(args.size)

    from infinitygan_jax import devices
    from infinitygan_jax.sampling import estimates

    devices.prepare()
    bundle = worlds.bundle_of(args, document)
    window = window_shown(args, document, bundle, size, args.origin)
    tasks = [_Task(one, window, shown) for one in worlds.each_of(args)]
    # A scheduler asks again for parts and their end, with --overwrite or without; a
    # person for many pictures, of which some may be there.
    again = bool(shard or args.finish or (args.seeds and not args.overwrite))
    for task in tasks:
        task.check_output(again)
    for task in tasks:
        task.document = document or worlds.document_of(
            task.args, window, bundle, task.args.seed or 0
        )
    # The edges of tiles have to be those of the parts that a writer goes on from.
    resumable = writers.writer_of(tasks[0].out).resumable

    def tile_size_for(world: "World") -> int:
        return estimates.fitting_tile_size(world, window)

    first = tasks[0].document
    assert first is not None
    world = worlds.world_of(args, first, bundle, None if resumable else tile_size_for)

    def own(task: _Task) -> "World":  # not kept: each holds arrays once it has painted
        return worlds.of_seed(world, task.args.seed) if args.seeds else world

    for task in tasks:
        task.prepare(own(task), bundle, _command(parser, task.args, window))
    if args.dry_run:  # says what it would take even where that is too much
        plan, blends = world.plan(window), world.blends(window)
        out, name = tasks[0].out, tasks[0].shown
        lines = rendering.describe(plan, world, bundle, out, blends)
        print("\n".join(lines).replace(str(out), name))
        if args.seeds:
            there = sum(task.maybe_done for task in tasks)
            print(f"pictures    {len(tasks)}, of which {there} are there")
    elif args.seeds:
        for task in tasks:  # before any is painted
            task.is_done()
    with _telling_what_is_kept(tasks):
        for task in tasks:
            task.run(own(task), start)
            start = time.perf_counter()


class _Task:
    """A picture that is to be painted.

    Attributes:
      args: the options, as for this picture alone.
      out: the file.
      shown: what messages call it.
      document: its world.
      maybe_done: whether a file is there that may be this picture.
      ended: whether there is nothing left to do.
    """

    def __init__(
        self, args: argparse.Namespace, window: Window, shown: str | None = None
    ):
        self.args = args
        name = _default_out(args, window) if args.out is None else args.out
        self.out = pathlib.Path(name)
        self.shown = shown or str(self.out)
        self.document: documents.Document | None = None
        self.maybe_done = False
        self.ended = False
        self._window = window
        self._texts: dict[str, str] = {}

    def check_output(self, again: bool) -> None:
        """Checks where it goes, before anything is painted.

        Args:
          again: whether it may be there already.
        """
        args, out = self.args, self.out
        options.quality_of(args, out)
        if args.style_map is not None:
            files.check_kept([args.style_map], [out])
        shard = options.shard_of(args.shard)
        if shard or args.finish:
            number = shard[1] if shard else 1
            writers.check_shards(self._target, number)
        with rendering.about(out):
            self.maybe_done = again and writers.is_finished(out)
        if not (args.dry_run or self.maybe_done):
            self._check_free()

    def prepare(
        self, world: "World", bundle: "bundle_lib.Bundle", command: str
    ) -> None:
        """Finds what the file says of itself."""
        assert self.document is not None
        worlds.check_saved(self.args, self.document)
        self._texts = {
            **rendering.texts_of(world, self._window, bundle),
            **_scene_texts(world, self.document),
            **options.quality_of(self.args, self.out)[1],
            "Command": command,
        }

    def is_done(self) -> bool:
        """Whether this very picture is there.

        Raises:
          ValueError: another is, and must stay.
        """
        if not self.maybe_done:
            return False
        former = writers.writer_of(self.out).texts_of(self.out)
        if _is_same_picture(former, self._texts):
            return True
        self._check_free()
        return False

    def _check_free(self) -> None:
        with rendering.about(self.out):
            writers.check_output(self._target)

    @property
    def _target(self) -> writers.Target:
        sides = self._window.height, self._window.width
        return writers.Target(self.out, *sides, self._texts, self.args.overwrite)

    def run(self, world: "World", start: float) -> None:
        """Paints what is missing of it, or says what that would be.

        Args:
          world: that it shows.
          start: when the work on it began.
        """
        args, window, out, target = self.args, self._window, self.out, self._target
        writer_type, shard = writers.writer_of(out), options.shard_of(args.shard)
        if args.dry_run and writer_type.resumable:
            plan = world.plan(window)
            print("\n".join(rendering.describe_rest(args, plan, world, target)))
        if self.is_done():
            job.tidy(out)
            self.ended = True
            print(f"{out} is finished already")
            return
        if args.dry_run:
            self._check_free()
        if writer_type.resumable and job.is_open(out):
            with rendering.about(out):  # as the writer does, but earlier
                assert issubclass(writer_type, pyramid.PyramidWriter)
                writer_type.check_disk(target, shard, args.finish)
        rendering.check_memory(world, window, out, world.blends(window))
        if args.dry_run:
            return
        if args.save_world is not None:  # before hours of painting
            assert self.document is not None
            self.document.save(args.save_world)
        pixels = rendering.paint_into(
            world, window, target, shard, args.finish, args.quality
        )
        self.ended = True
        seconds = time.perf_counter() - start
        name = f"{self.shown}, shard {args.shard}" if shard else self.shown
        if shard and not pixels:
            print(f"{name} is painted already")
            return
        rate = f", {pixels / 1e6 / seconds:.2f} megapixels a second" if pixels else ""
        print(f"{name}: {seconds:.1f} s{rate}")


@contextlib.contextmanager
def _telling_what_is_kept(tasks: Sequence[_Task]) -> Iterator[None]:
    """Says of several pictures, when their work is stopped, how many are finished."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        ended = sum(task.ended for task in tasks)
        if len(tasks) > 1 and not tasks[0].args.overwrite:
            print(
                f"{ended} of {len(tasks)} pictures are done, and the same command goes "
                "on with the others",
                file=sys.stderr,
            )
        raise


def _is_same_picture(former: Mapping[str, str], texts: Mapping[str, str]) -> bool:
    """Whether two pictures are equal by what they say of themselves."""
    # What the command says, the rest says too.
    return not job.differences({**former, "Command": ""}, {**texts, "Command": ""})


def size_of(size: str) -> tuple[int, int]:
    """``--size`` as width and height.

    Raises:
      ValueError: it is not of this form.
    """
    numbers = options.whole_numbers(size, "NxN")
    if not numbers:
        raise UserError(
            f"--size ({size}) must be WIDTHxHEIGHT in whole pixels; write e.g. "
            "--size 4096x4096"
        )
    width, height = numbers
    return width, height


def window_shown(
    args: argparse.Namespace,
    document: "documents.Document | None",
    bundle: "bundle_lib.Bundle",
    size: tuple[int, int],
    origin: str | None,
) -> Window:
    """The window of a picture or of frames; settles their level, too.

    Args:
      args: what was parsed.
      document: of ``--world``, if given.
      bundle: the checkpoint.
      size: width and height.
      origin: see `window_of`.

    Raises:
      ValueError: see `window_of`.
    """
    worlds.settle_level(args, bundle, size[1])
    horizon = args.horizon if document is None else document.horizon
    return window_of(size, origin, horizon or 0, args.level)


def window_of(
    size: tuple[int, int], origin: str | None, horizon: int = 0, level: int = 0
) -> Window:
    """The window that the options ask for.

    Args:
      size: width and height.
      origin: ``Y,X`` of the top left pixel, or None: the horizon in the middle, and
        column 0 at the left.
      horizon: its row at level 0.
      level: the picture is 1 / 2**level of the world.

    Raises:
      ValueError: the place is not of this form, or the window is impossible.
    """
    width, height = size
    if origin is None:
        planning.check_horizon(horizon)
        middle = planning.at_level(horizon, level)
        return Window(middle - height // 2, 0, height, width)
    return Window(*options.position_of("--origin", origin), height, width)


def _scene_texts(world: "World", document: "documents.Document") -> dict[str, str]:
    """What a picture says of styles and edits, where it has any."""
    if world.scene == type(world.scene)():
        return {}
    return {
        "Octaves": str(world.scene.octaves),
        "Edits": str(len(world.scene.edits)),
        "World digest": document.content_digest(),
    }


def _command(
    parser: argparse.ArgumentParser, args: argparse.Namespace, window: Window
) -> str:
    """What paints this picture again, in numbers as they were read."""
    place = None if args.origin is None else f"{window.top},{window.left}"
    size = f"{window.width}x{window.height}"
    return options.command_of(parser, args, size=size, origin=place)


def _default_out(args: argparse.Namespace, window: Window) -> str:
    path = pathlib.Path(args.checkpoint or DEFAULT_MODEL)
    name = (
        path.stem
        if path.suffix == ".safetensors"
        else options.checkpoint_name(str(path))
    )
    place = "" if args.origin is None else f"-at{window.top},{window.left}"
    place += world_options.name_part(args)
    size = f"{window.width}x{window.height}"
    if args.world is not None:  # which says checkpoint and seed
        return f"{pathlib.Path(args.world).stem}-{size}{place}.png"
    return f"{name}-seed{args.seed or 0}-{size}{place}.png"


if __name__ == "__main__":
    errors.run(main)
