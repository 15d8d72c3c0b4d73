"""Several processes train as one does."""

import re

import numpy as np
import pytest

from tests.training import running

STEPS = 5


def losses(workdir):
    scalars = running.read_scalars(workdir)
    return {key: value for key, value in scalars.items() if key[0].startswith("losses")}


def test_two_processes_of_two_devices_train_as_one_of_four(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    flags = [f"--config.train.num_steps={STEPS}", "--config.train.sheet_every=5"]
    process = running.start(tmp_path, f"--workdir={one}", *flags, devices=4)
    status, text = running.finish(process)
    assert status == 0, text

    flags += [f"--workdir={two}", "--num_processes=2"]
    flags += [f"--coordinator_address=localhost:{running.free_port()}"]
    processes = [
        running.start(tmp_path, *flags, f"--process_id={index}", devices=2)
        for index in range(2)
    ]
    results = [running.finish(process) for process in processes]
    assert [status for status, _ in results] == [0, 0], results
    # The first process alone reports and writes.
    assert re.search(rf"step {STEPS}/{STEPS} ", results[0][1])
    assert not re.search(rf"step {STEPS}/{STEPS} ", results[1][1])
    assert len(list((two / "tensorboard").iterdir())) == 1
    assert len(list((two / "sheets" / "step_00000005").iterdir())) == 5

    expected, found = losses(one), losses(two)
    assert expected.keys() == found.keys()
    assert {step for _, step in expected} == set(range(1, STEPS + 1))
    for key, value in expected.items():
        # Other samples would differ by tenths. Before Adam's first update, which
        # amplifies rounding, there is nothing but rounding.
        first = key[1] == 1 and key[0].startswith("losses/d_")
        tolerance = 1e-5 if first else 1e-3
        assert found[key] == pytest.approx(value, rel=tolerance, abs=tolerance), key

    # The checkpoint of two processes goes on in one, of one device.
    flags = [f"--workdir={two}", f"--config.train.num_steps={STEPS + 1}"]
    status, text = running.finish(running.start(tmp_path, *flags))
    assert status == 0, text
    assert f"going on from step {STEPS}" in text


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path):
    module = ["-m", "tests.training.gradients"]
    process = running.start_python(*module, str(tmp_path / "one.npz"), devices=4)
    status, text = running.finish(process)
    assert status == 0, text
    address = f"localhost:{running.free_port()}"
    processes = [
        running.start_python(
            *module, str(tmp_path / "two.npz"), address, "2", str(index), devices=2
        )
        for index in range(2)
    ]
    for process in processes:
        status, text = running.finish(process)
        assert status == 0, text
    one, two = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("one", "two"))
    assert one.keys() == two.keys()
    np.testing.assert_array_equal(two.pop("['z_local']"), one["['z_local']"])
    assert len({key.split("]")[0] for key in two}) == 4  # all phases
    for key, found in two.items():
        error = np.linalg.norm(found - one[key])
        assert error <= 1e-5 * np.linalg.norm(one[key]) + 1e-7, key


@pytest.mark.parametrize(
    ("flag", "messages"),
    [
        (
            "--config.data.source=nowhere",
            ["process 1 cannot start; its message says why", "nowhere does not"],
        ),
        ("--config.data.source=generated:13", ["sees 12 images", "sees 13 images"]),
    ],
)
def test_what_one_process_cannot_do_stops_all(tmp_path, flag, messages):
    flags = [f"--workdir={tmp_path / 'run'}", "--num_processes=2"]
    flags += [f"--coordinator_address=localhost:{running.free_port()}"]
    processes = [
        running.start(tmp_path, *flags, f"--process_id={index}", *more)
        for index, more in enumerate(([], [flag]))
    ]
    for process, message in zip(processes, messages, strict=True):
        status, text = running.finish(process)
        assert status == 2, text
        assert re.search(rf"^error: .*{message}", text, re.MULTILINE), text
    assert not (tmp_path / "run" / "config.json").exists()
