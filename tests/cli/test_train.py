import re
import signal

import pytest

from infinitygan_jax.cli import train
from infinitygan_jax.models import features
from infinitygan_jax.training import loop

CONFIG = "--config=configs/landscape_lite.py:runlocal"


def error_of(capsys, *flags: str) -> str:
    """The one line that a command with a mistake prints; its status is 2."""
    with pytest.raises(SystemExit) as exit_info:
        train.main(["run_train.py", *flags])
    assert exit_info.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no workdir; name a folder"),
        (["--workdir={dir}", "--num_processes=2"], "give all three, or --distributed"),
        (
            [
                "--workdir={dir}",
                "--coordinator_address=localhost:1",
                "--num_processes=2",
                "--process_id=2",
            ],
            r"--process_id \(2\) must be below --num_processes \(2\)",
        ),
        # Tests have 8 devices, each of which takes whole pairs.
        (
            ["--workdir={dir}", "--config.train.batch_size=20"],
            r"train\.batch_size \(20\) must be a multiple of 16",
        ),
        (
            ["--workdir={dir}", "--config.data.source={dir}/none"],
            "none",
        ),
        (
            ["--workdir={dir}", "--config.data.source="],
            r"data\.source must name a folder of images",
        ),
        (
            ["--workdir={dir}", "--config.train.initial=landscape_lite"],
            r"train\.initial \(landscape_lite\) .* model\.patch_size: \d+ -> 17;",
        ),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys, flags, message):
    workdir = tmp_path / "run"
    flags = [flag.format(dir=workdir) for flag in flags]
    if not any("batch_size" in flag for flag in flags):
        flags.append("--config.train.batch_size=16")
    line = error_of(capsys, CONFIG, *flags)
    assert re.search(message, line), line
    assert not workdir.exists()


def test_altered_weights_of_the_frozen_network_are_one_line(
    tmp_path, capsys, monkeypatch
):
    path = tmp_path / features.path_of("lite0").name
    path.write_bytes(features.path_of("lite0").read_bytes()[:-1])
    monkeypatch.setattr(features, "PRETRAINED", tmp_path)
    features.load.cache_clear()
    flags = [f"--workdir={tmp_path / 'run'}", "--config.train.batch_size=16"]
    try:
        line = error_of(capsys, CONFIG, *flags)
    finally:
        features.load.cache_clear()
    assert "weights of the feature network" in line
    assert not (tmp_path / "run").exists()


def test_workdir_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file", tmp_path / "file" / "run"):
        flags = [f"--workdir={workdir}", "--config.train.batch_size=16"]
        line = error_of(capsys, CONFIG, *flags)
        assert "must be a folder that can be written" in line


def test_not_finite_loss_is_one_line(tmp_path, capsys, monkeypatch):
    def diverge(config, workdir, amend):
        raise FloatingPointError("d_adv is nan at step 7")

    monkeypatch.setattr(loop, "train", diverge)
    line = error_of(capsys, CONFIG, f"--workdir={tmp_path}")
    assert line == "error: d_adv is nan at step 7"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_stopped_run_exits_with_the_status_of_its_signal(
    tmp_path, monkeypatch, number, status
):
    calls = []

    def stopped(config, workdir, amend):
        calls.append((config.train.num_steps, workdir, amend))
        return Stopped(int(number))

    monkeypatch.setattr(loop, "train", stopped)
    flags = [CONFIG, f"--workdir={tmp_path}", "--config.train.num_steps=5", "--amend"]
    with pytest.raises(SystemExit) as exit_info:
        train.main(["run_train.py", *flags])
    assert exit_info.value.code == status
    assert calls == [(5, str(tmp_path), True)]


class Stopped:
    """An outcome that only knows its signal."""

    def __init__(self, number):
        self.signal = number
