"""The four pure steps of training (D, R1 of D, G, path length of G) on all devices.

Each is a per-device function mapped by ``shard_map`` over the mesh axis "data":
parameters and frozen networks are replicated, samples are split,
gradients and metrics are means over the devices.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from infinitygan_jax import devices, losses
from infinitygan_jax.config import Config
from infinitygan_jax.devices import AXIS
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.discriminator import Output, Taps
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.training import draws, generator_task, patch_features
from infinitygan_jax.training.state import (
    TrainState,
    distance_weight,
    ema_decay,
    optimizers,
    rate_share,
)
from infinitygan_jax.training.task import Batch, Frozen
from infinitygan_jax.training.tasks import task_of

Metrics = dict[str, Array]
Gradients = Mapping[str, Any]


def check_devices(config: Config, num_devices: int) -> None:
    """Checks that a batch splits over devices into whole pairs.

    Raises:
      ValueError: it does not; the message names the nearest batch that does.
    """
    batch, shrink = config.train.batch_size, config.train.path_batch_shrink
    unit = num_devices * math.lcm(2, shrink if config.train.path_weight else 1)
    group = discriminator_of(config.judged).samples_together

    def fits(size: int) -> bool:
        # A batch below the group's size is one group.
        return size > 0 and size % unit == 0 and size % min(group or size, size) == 0

    if fits(batch):
        return
    # Common multiples of unit and group are never farther apart than this.
    steps = range(math.lcm(unit, group or 1) // unit + 1)
    near = {(batch // unit + sign * n) * unit for n in steps for sign in (-1, 1)}
    nearest = min(filter(fits, near), key=lambda size: (abs(size - batch), size))
    reason = (
        f"{unit}: each of the {num_devices} devices takes whole pairs"
        if batch % unit
        else f"{config.judged.group}.stddev_group ({group})"
    )
    raise UserError(
        f"train.batch_size ({batch}) must be a multiple of {reason}; the nearest that "
        f"fits is {nearest}"
    )


class Steps:
    """Compiled steps of one configuration on one mesh of devices.

    Attributes:
      mesh: the devices.
      gradients: "d", "d_r1", "g", "g_path" -> function of (state, batch) that returns
        (gradients, metrics); what the steps apply, for tests and tools. With
        ``train.shared_samples`` "d" takes what "g" made of its patches in the batch,
        too: "fake", a `Labelled`, and "fake_taps".
    """

    def __init__(self, config: Config, mesh: jax.sharding.Mesh):
        check_devices(config, mesh.size)
        self.mesh = mesh
        self._config = config
        network = discriminator_of(config.judged).network()
        frozen = Frozen(network, task_of(config).frozen_base())
        self._frozen = devices.replicate(frozen, mesh)
        jit = devices.jit_in_a_hurry if config.train.in_a_hurry else jax.jit
        self.gradients = {
            name: self._with_frozen(jit(self._map(partial(_gradients, config, name))))
            for name in _PHASES
        }
        # Compiled, or to be compiled by their first call.
        self._steps: dict[str, Any] = {
            name: jit(self._map(partial(_take, config, phases)), donate_argnums=0)
            for name, phases in _STEPS.items()
        }
        self._finish = jit(partial(_finish, config), donate_argnums=0)
        self._compiling: dict[str, Future[Any]] = {}
        self._compilers: ThreadPoolExecutor | None = None

    def compile(self, state: TrainState, num_compilers: int | None = None) -> None:
        """Begins to compile the steps that training takes, side by side.

        Compiling is one core's work for each of them. ``iterate`` waits for those that
        it needs; without this call they are compiled one by one as they are met.

        Args:
          state: shapes and types of ``iterate``'s state, or such a state.
          num_compilers: steps at once; by default ``devices.num_compilers()``.
        """
        self._compilers = ThreadPoolExecutor(num_compilers or devices.num_compilers())
        train, size = self._config.train, task_of(self._config).input_size

        def described(shape: tuple[int, ...], dtype: Any, spec: P) -> Any:
            sharding = jax.sharding.NamedSharding(self.mesh, spec)
            return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

        state = jax.tree.map(lambda x: described(x.shape, x.dtype, P()), state)
        number = train.batch_size
        batch = {
            "image": described((number, size, size, 3), np.float32, P(AXIS)),
            "label": described((number,), np.float32, P(AXIS)),
        }
        for name in self.phases(0):  # when all that are ever taken are due
            lowered = self._steps[name].lower(state, batch, self._frozen)
            self._compiling[name] = self._compilers.submit(lowered.compile)

    def close(self) -> None:
        """Compiles nothing more that has not been begun."""
        if self._compilers is not None:
            self._compilers.shutdown(wait=False, cancel_futures=True)

    def wait(self) -> None:
        """Waits until all is compiled that ``compile`` began."""
        for name in list(self._compiling):
            self._step(name)

    def _step(self, name: str) -> Callable[..., Any]:
        if name in self._compiling:
            self._steps[name] = self._compiling.pop(name).result()
        return self._steps[name]

    def _with_frozen(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda state, batch: function(state, batch, self._frozen)

    def _map(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=(P(), P(AXIS), P()),
            out_specs=(P(), P()),
            # pmap's manner: every device holds a copy, and the mean is explicit.
            check_vma=False,
        )

    def replicate(self, tree: Any) -> Any:
        """Puts a copy of every array on every device."""
        return devices.replicate(tree, self.mesh)

    def shard_batch(self, local: Mapping[str, Any]) -> Batch:
        """This process's samples as its part of the batch over all devices."""
        return devices.split(dict(local), self.mesh)

    def phases(self, step: int) -> tuple[str, ...]:
        """What training step ``step`` consists of, in order: keys of ``_STEPS``."""
        train = self._config.train
        regularized = {
            "d_r1": train.r1_weight and step % train.r1_every == 0,
            "g_path": train.path_weight and step % train.path_every == 0,
        }
        order = ["d", "d_r1", "g", "g_path"]
        if train.shared_samples:
            order = ["g_and_d", "d_r1", "g_path"]
        return tuple(name for name in order if regularized.get(name, True))

    def iterate(
        self, state: TrainState, batch: Batch, step: int
    ) -> tuple[TrainState, Metrics]:
        """One training step: every phase that is due, then the moving average.

        D's come first; with ``train.shared_samples`` G and D take one together.

        Args:
          state: donated; use the returned one.
          batch: "image" [b, p, p, 3] in [-1, 1] and "label" [b] in [-1, 1], split over
            the devices (``shard_batch``).
          step: ``state.step`` as the host knows it, so that nobody waits for a device.

        Returns:
          The next state, and the scalars of the phases that ran, not yet fetched.
        """
        metrics: Metrics = {}
        for name in self.phases(step):
            state, new = self._step(name)(state, batch, self._frozen)
            metrics |= new
        return self._finish(state), metrics


def make_steps(config: Config, mesh: jax.sharding.Mesh | None = None) -> Steps:
    """The compiled steps of a configuration, on all devices unless told otherwise."""
    return Steps(config, devices.make_mesh() if mesh is None else mesh)


def _take(
    config: Config,
    phases: Sequence[str],
    state: TrainState,
    batch: Batch,
    frozen: Frozen,
) -> tuple[TrainState, Metrics]:
    """Phases one after another; what one makes is added to the batch of the next.

    In one function, so that the compiler sees what two of them have in common: D's
    forward pass over G's patches is there once.
    """
    metrics: Metrics = {}
    for name in phases:
        state, new, made = _update(config, name, state, batch, frozen)
        metrics, batch = metrics | new, {**batch, **made}
    return state, metrics


def _gradients(
    config: Config,
    name: str,
    state: TrainState,
    batch: Batch,
    frozen: Frozen,
) -> tuple[Gradients, Metrics]:
    """What a phase applies, and its metrics."""
    return _PHASES[name](config, state, batch, frozen)[:2]


def _update(
    config: Config,
    name: str,
    state: TrainState,
    batch: Batch,
    frozen: Frozen,
) -> tuple[TrainState, Metrics, Batch]:
    """Applies one phase's gradients with its optimizer."""
    grads, metrics, made = _PHASES[name](config, state, batch, frozen)
    g_optimizer, d_optimizer = optimizers(config.train)
    share = rate_share(config.train, state.step)
    if name.startswith("d"):
        updates, opt_state = d_optimizer.update(grads, state.d_opt_state)
        params = optax.apply_updates(state.d_params, _scaled(updates, share))
        state = state.replace(
            d_params=params,
            d_opt_state=opt_state,
            d_state=discriminator_of(config.judged).refreshed(params, state.d_state),
        )
    else:
        updates, opt_state = g_optimizer.update(grads, state.g_opt_state)
        params = optax.apply_updates(state.g_params, _scaled(updates, share))
        state = state.replace(g_params=params, g_opt_state=opt_state)
    if name == "g_path":
        state = state.replace(path_mean=metrics["path_length_mean"])
    if "seen_real" in made:
        seen = {
            kind: _newest(state.seen[kind], made[f"seen_{kind}"]) for kind in state.seen
        }
        state = state.replace(seen=seen)
    return state, metrics, made


def _newest(kept: Float[Array, "n d"], new: Float[Array, "b d"]) -> Array:
    """Features with those of all devices' samples after them, and as many gone."""
    new = jax.lax.all_gather(new, AXIS, tiled=True)
    return jnp.concatenate([kept, new])[-len(kept) :]


def _finish(config: Config, state: TrainState) -> TrainState:
    step = state.step + 1
    decay = ema_decay(config.train, step)
    ema = jax.tree.map(
        lambda old, new: old * decay + new * (1 - decay),
        state.ema_params,
        state.g_params,
    )
    return state.replace(ema_params=ema, step=step)


def _d_gradients(
    config: Config, state: TrainState, batch: Batch, frozen: Frozen
) -> tuple[Gradients, Metrics, Batch]:
    task, step, index = task_of(config), state.step, _index(batch["label"].shape[0])
    if config.train.shared_samples:
        fake, fake_taps = batch["fake"], batch["fake_taps"]
    else:
        samples = task.draw(step, draws.D_FAKE, index, batch, frozen)
        image = task.paint(state.g_params, samples)
        fake = task.generated(step, draws.AUGMENT_FAKE, index, image, samples.label)
        fake_taps = None
    real = task.real(step, draws.AUGMENT_REAL, index, batch)

    def loss(params: Mapping[str, Any]) -> tuple[Array, tuple[Any, ...]]:
        on_real = _discriminate(config, params, state, frozen, real.image)
        on_fake = _discriminate(config, params, state, frozen, fake.image, fake_taps)
        objective = config.train.objective
        metrics = {
            "d_adv": losses.adversarial_d(objective, on_real.logits, on_fake.logits),
            "d_real": jnp.mean(losses.score(on_real.logits)),
            "d_fake": jnp.mean(losses.score(on_fake.logits)),
        }
        total = metrics["d_adv"]
        if config.train.coords_weight:
            metrics["d_coords"] = losses.vertical_coordinate(
                on_real.coords, real.label
            ) + losses.vertical_coordinate(on_fake.coords, fake.label)
            total += config.train.coords_weight * metrics["d_coords"]
        return total, (metrics, on_real.taps, on_fake.taps)

    grads, (metrics, *taps) = jax.grad(loss, has_aux=True)(state.d_params)
    made = {}
    if config.train.distance_weight:
        for kind, patches, seen in zip(
            ("real", "fake"), (real, fake), taps, strict=True
        ):
            made[f"seen_{kind}"] = patch_features.of(patches.plain, seen)
    return *_mean((grads, metrics)), made


def _d_r1_gradients(
    config: Config, state: TrainState, batch: Batch, frozen: Frozen
) -> tuple[Gradients, Metrics, Batch]:
    index = _index(batch["label"].shape[0])
    real = task_of(config).real(state.step, draws.AUGMENT_R1, index, batch).image
    taps = discriminator_of(config.judged).taps(frozen.features, real)
    weight = config.train.r1_weight / 2 * config.train.r1_every

    def loss(params: Mapping[str, Any]) -> tuple[Array, Metrics]:
        def score(image: Array, taps: tuple[Array, ...]) -> Array:
            output = _discriminate(config, params, state, frozen, image, taps)
            return losses.score(output.logits)

        if taps:
            penalty = losses.r1(partial(score, real), taps)
        else:
            penalty = losses.r1(lambda image: score(image, taps), real)
        return weight * penalty, {"r1": penalty}

    return *_mean(jax.grad(loss, has_aux=True)(state.d_params)), {}


def _g_gradients(
    config: Config, state: TrainState, batch: Batch, frozen: Frozen
) -> tuple[Gradients, Metrics, Batch]:
    task, step, index = task_of(config), state.step, _index(batch["label"].shape[0])
    samples = task.draw(step, draws.G_FAKE, index, batch, frozen)

    def loss(params: Mapping[str, Any]) -> tuple[Array, tuple[Metrics, Batch]]:
        painted = task.learn(params, samples)
        fake = task.generated(
            step, draws.AUGMENT_G, index, painted.image, samples.label
        )
        output = _discriminate(config, state.d_params, state, frozen, fake.image)
        weights = discriminator_of(config.judged).head_weights(
            config.train.pixel_weight, config.train.layout_weight
        )
        metrics = {
            "g_adv": losses.adversarial_g(
                config.train.objective, output.logits, weights
            )
        }
        total = metrics["g_adv"]
        if config.train.coords_weight:
            metrics["g_coords"] = losses.vertical_coordinate(output.coords, fake.label)
            total += config.train.coords_weight * metrics["g_coords"]
        if config.train.distance_weight:
            # Before enough was seen, there is nothing to be near to.
            seen = state.seen["real"], state.seen["fake"]
            full = jnp.any(seen[0][0]) & jnp.any(seen[1][0])
            features = patch_features.of(fake.plain, output.taps)
            widths = patch_features.widths(config.judged)
            metrics["g_distance"] = full * losses.witness(features, *seen, widths)
            total += distance_weight(config.train, step) * metrics["g_distance"]
        if config.train.feature_distance_weight:
            assert painted.wanted is not None
            known = [tap[painted.known] for tap in output.taps]
            wanted = discriminator_of(config.judged).taps(
                frozen.features, painted.wanted
            )
            value = losses.feature_distance(known, wanted, AXIS)
            metrics["g_feature_distance"] = value
            total += config.train.feature_distance_weight * value
        for name, (weight, value) in painted.losses.items():
            metrics[name] = value
            total += weight * value
        return total, (metrics, {"fake": fake, "fake_taps": output.taps})

    grads, (metrics, judged) = jax.grad(loss, has_aux=True)(state.g_params)
    painted = judged if config.train.shared_samples else {}
    return *_mean((grads, metrics)), painted


def _g_path_gradients(
    config: Config, state: TrainState, batch: Batch, frozen: Frozen
) -> tuple[Gradients, Metrics, Batch]:
    train = config.train
    index = _index(batch["label"].shape[0] // train.path_batch_shrink)
    key = draws.step_key(train.seed, draws.PATH, state.step)
    samples = draws.draw_samples(config, key, index, paired=False)
    projection = draws.projections(key, index, config.model.patch_size)

    def loss(params: Mapping[str, Any]) -> tuple[Array, Metrics]:
        structure, styles = generator_task.structure_and_styles(config, params, samples)
        paint = partial(generator_task.paint, config, params, structure, samples.noise)
        lengths = losses.path_lengths(paint, styles, projection)
        mean_length = jax.lax.pmean(jnp.mean(lengths), AXIS)
        mean = state.path_mean + train.path_decay * (mean_length - state.path_mean)
        if not train.path_mean_gradient:
            mean = jax.lax.stop_gradient(mean)
        penalty = losses.path_penalty(lengths, mean)
        metrics = {
            "path_length": mean_length,
            "path_length_mean": mean,
            "path_penalty": penalty,
        }
        return train.path_weight * train.path_every * penalty, metrics

    return *_mean(jax.grad(loss, has_aux=True)(state.g_params)), {}


_PHASES = {
    "d": _d_gradients,
    "d_r1": _d_r1_gradients,
    "g": _g_gradients,
    "g_path": _g_path_gradients,
}

# What is compiled as one function, by name: its phases.
_STEPS = {**{name: (name,) for name in _PHASES}, "g_and_d": ("g", "d")}


def _index(num_local: int) -> Int[Array, " b"]:
    """Places in the whole batch of this device's samples."""
    return jax.lax.axis_index(AXIS) * num_local + jnp.arange(num_local)


def _mean(result: tuple[Gradients, Metrics]) -> tuple[Gradients, Metrics]:
    """Means over the devices, of gradients and metrics alike."""
    return jax.lax.pmean(result, AXIS)


def _discriminate(
    config: Config,
    params: Mapping[str, Any],
    state: TrainState,
    frozen: Frozen,
    image: Float[Array, "b p p 3"],
    taps: Taps | None = None,
) -> Output:
    return discriminator_of(config.judged).judge(
        params, state.d_state, frozen.features, image, AXIS, taps
    )


def _scaled(updates: Any, share: Float[Array, ""] | float) -> Any:
    return jax.tree.map(lambda update: update * share, updates)
