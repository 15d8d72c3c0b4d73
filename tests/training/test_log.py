import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.training import log
from tests.training import running


def scalars(**values):
    return {name: jnp.float32(value) for name, value in values.items()}


def test_means_are_of_the_steps_that_have_the_scalar():
    losses = log.Losses()
    losses.push(1, scalars(d=1.0, r1=8.0))
    losses.push(2, scalars(d=2.0))
    losses.push(3, scalars(d=6.0))
    losses.drain()
    assert losses.pop_means() == {"d": 3.0, "r1": 8.0}  # (1 + 2 + 6) / 3
    losses.push(4, scalars(d=5.0))
    losses.drain()
    assert losses.pop_means() == {"d": 5.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_value_that_is_not_finite_names_itself_and_its_step(value):
    losses = log.Losses()
    losses.push(7, scalars(d=1.0, g_adv=value))
    losses.push(8, scalars(d=1.0))
    with pytest.raises(FloatingPointError, match=r"g_adv is -?(nan|inf) at step 7"):
        losses.drain()


def test_value_that_is_not_finite_is_found_two_steps_later():
    losses = log.Losses()
    losses.push(1, scalars(d=math.nan))
    losses.push(2, scalars(d=1.0))
    with pytest.raises(FloatingPointError, match="d is nan at step 1"):
        losses.push(3, scalars(d=1.0))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])

    def pass_seconds(seconds):
        now[0] += seconds

    return pass_seconds


def test_rates_leave_compiling_out(clock):
    speed = log.Speed(batch_size=16)
    with speed.uncounted():
        clock(30.0)
    assert math.isinf(speed.seconds_left(5))
    for _ in range(4):
        with speed.waiting():
            clock(0.5)
        clock(1.5)
        speed.count()
    # 4 steps of 16 images in 8 s; a quarter of them waiting; 2 s a step.
    assert speed.pop_rates() == {"images_per_second": 8.0, "data_wait": 0.25}
    assert speed.seconds_left(5) == 10.0


def test_rates_are_of_the_last_interval_and_time_left_of_all(clock):
    speed = log.Speed(batch_size=2)
    clock(3.0)
    speed.count()
    speed.pop_rates()
    clock(1.0)
    speed.count()
    assert speed.pop_rates() == {"images_per_second": 2.0, "data_wait": 0.0}
    assert speed.seconds_left(10) == 20.0  # 2 steps took 4 s


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (370_800, "4 d 7 h"),
        (math.inf, "?"),
    ],
)
def test_times_are_for_people(seconds, text):
    assert log.format_seconds(seconds) == text


def test_parameter_table_has_each_array_and_their_sum():
    # 3 * 3 * 2 * 4 = 72, a number without axes, and 5 of half the bytes: 78 in
    # 72 * 4 + 4 + 5 * 2 = 302 bytes.
    params = {
        "conv": {
            "kernel": np.zeros((3, 3, 2, 4), np.float32),
            "strength": jnp.float32(0),
        },
        "bias": jax.ShapeDtypeStruct((5,), jnp.float16),
    }
    first, *table = log.parameter_table("generator", params).splitlines()
    assert first == "generator: 78 parameters, 0.0 MB"
    rows = [re.split(r" *\| *", line)[1:-1] for line in table if line[0] == "|"]
    assert rows == [
        ["Name", "Shape", "Dtype", "Size"],
        ["bias", "(5,)", "float16", "5"],
        ["conv/kernel", "(3, 3, 2, 4)", "float32", "72"],
        ["conv/strength", "()", "float32", "1"],
    ]
    assert set(table[-1]) == {"+", "-"}  # it ends with the table's edge


def test_parameter_table_of_a_large_network_has_its_bytes():
    params = {"kernel": jax.ShapeDtypeStruct((1000, 500), jnp.float32)}
    table = log.parameter_table("discriminator", params)
    assert table.startswith("discriminator: 500,000 parameters, 2.0 MB\n")


def test_progress_line_has_step_rate_time_left_and_losses():
    rates = {"images_per_second": 12.34, "data_wait": 0.021}
    line = log.progress_line(50, 800, 200.0, rates, {"g_adv": 0.69315, "d_adv": 2})
    assert line == (
        "step 50/800  12.3 images/s  3 min 20 s left  data 2%  d_adv 2  g_adv 0.693"
    )


def test_tensorboard_gets_scalars_and_images(tmp_path):
    folder = tmp_path / "tensorboard"
    with log.Summaries(folder, 0) as summaries:
        summaries.scalars(3, "losses", {"d_adv": 0.5})
        summaries.images(3, {"samples": np.zeros((4, 6, 3), np.uint8)})
    assert running.read_scalars(tmp_path) == {("losses/d_adv", 3): 0.5}
    assert b"sheets/samples" in b"".join(p.read_bytes() for p in folder.iterdir())
