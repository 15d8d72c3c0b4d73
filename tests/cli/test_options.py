"""What a picture says made it is understood as what was asked for."""

import shlex

import pytest

from infinitygan_jax.cli import fly, grid, inbetween, options, outpaint, sample

NOT_SAID = ("out", "overwrite", "save_world", "shard", "finish", "dry_run")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (sample, "--size 8x8"),
        (
            sample,
            "--size 8x8 --origin -3,5 --seed 0 --horizon -4 --vertical_span 90 "
            "--wrap xy --level 1 --quick --tile 32 --octaves 2 --truncation 0.0 "
            "--noise_scale 1",
        ),
        (sample, "--size 8x8 --styles 1@0,0.5 2@0.5,1e-3 --blend 9 --out a.png"),
        (sample, "--size 8x8 --styles 1-4,7 --every 40 --quality 80 --overwrite"),
        (sample, "--size 8x8 --biomes 40 --save_world w.json --shard 0/2 --dry_run"),
        (grid, "--rows 0-3 7 --columns 5 --margin 0 --labels --wrap x --out a.png"),
        (fly, "--size 8x8 --frames 2 --via -1,2 --via 3,4 --ease --out a/"),
        (fly, "--size 8x8 --frames 2 --via=-1,2 --seeds 1,2 --fps 12.5 --out a/"),
        (outpaint, "a.png --size 8x8 --at 0.25,0.5 --seed 3"),
        (inbetween, "a.png b.png --size 8x8 --quality 5"),
    ],
)
def test_a_command_is_parsed_as_what_it_says(command, words):
    parser = command._parser()
    args = parser.parse_args(words.split())
    said = shlex.split(options.command_of(parser, args, tile=64))
    prog = shlex.split(parser.prog)
    assert said[: len(prog)] == prog
    again = said[len(prog) :]
    again += ["--out", args.out] if args.out is not None else []
    for name, value in vars(parser.parse_args(again)).items():
        if name == "tile":
            assert value == 64
        elif name not in NOT_SAID:
            assert value == getattr(args, name), name


def test_folders_are_nobodys_business(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = sample._parser()
    words = "--size 8x8 --checkpoint my/run --styles my/a.npz@0,0.5 b/7.npz@1,1"
    said = options.command_of(parser, parser.parse_args(words.split()))
    start = "python run_sample.py --size=8x8 "
    assert said == start + "--checkpoint=run --styles a.npz@0,0.5 7.npz@1,1"
    words = "--size 8x8 --world my/w.json"
    said = options.command_of(parser, parser.parse_args(words.split()))
    assert said == start + "--world=w.json"
