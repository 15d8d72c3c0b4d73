"""The search for latents that paint given pictures: loss, schedule, steps. Pure."""

import math
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from infinitygan_jax.config import ModelConfig
from infinitygan_jax.inversion import perceptual, priors
from infinitygan_jax.inversion.augmentation import augmented
from infinitygan_jax.inversion.place import Latents, Place, paint
from infinitygan_jax.models.generator import to_uint8

_ADAM = optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)
_LEAST_TRUNCATION = 1e-3  # that z_local is divided by
_START, _AUGMENT, _PERTURB = range(3)  # streams of random numbers


class Problem(NamedTuple):
    """What stays the same while pictures are inverted.

    Attributes:
      params: the generator's parameters.
      distance: perceptual distance, or None.
      statistics: of the model's styles.
      settings: numbers by name.
      pictures: what to find, -1 to 1, and 0 where unknown.
      known: 1 where a pixel counts, else 0.
      here: coordinates of the pictures' cells.
      near: for each cell of z_local, 1 where the search changes it. Farther ones stay
        as drawn: the pictures hardly depend on them, and would make them as wild as
        they like, which shows in what is painted beyond.
      inside: likewise for each noise map, where it lies under the pictures.
      key: of all random numbers.
      truncation: of the model; its own pictures' z_local has this root mean square.
    """

    params: Any
    distance: perceptual.Distance | None
    statistics: priors.StyleStatistics
    settings: Mapping[str, Any]
    pictures: Float[Array, "b h w 3"]
    known: Float[Array, "b h w 1"]
    here: Float[Array, "H W c"]
    near: Float[Array, "H W"]
    inside: tuple[Float[Array, "_ _"], ...]
    key: PRNGKeyArray
    truncation: float = 1.0


class State(NamedTuple):
    """What changes: the step, the latents, and Adam's moments."""

    step: Int[Array, ""]
    latents: Latents
    moments: Any


def learning_rate(
    settings: Mapping[str, Any], step: Int[Array, ""] | int
) -> Float[Array, ""]:
    """Rate of a step: a linear ramp up, a plateau, and a cosine down to nearly 0.

    A step counts at its middle, so that neither the first nor the last is lost.
    """
    share = _share_done(settings, step)
    up = jnp.minimum(1.0, share / settings["ramp_up"])
    down = jnp.minimum(1.0, (1.0 - share) / settings["ramp_down"])
    return settings["learning_rate"] * up * 0.5 * (1 - jnp.cos(jnp.pi * down))


def _share_done(
    settings: Mapping[str, Any], step: Int[Array, ""] | int
) -> Float[Array, ""]:
    """How much of the search is done in the middle of a step, 0 to 1."""
    return (jnp.asarray(step, jnp.float32) + 0.5) / settings["steps"]


def terms_of(
    problem: Problem,
    latents: Latents,
    image: Float[Array, "b h w 3"],
    augment_key: PRNGKeyArray | None = None,
) -> dict[str, Float[Array, " b"]]:
    """The unweighted terms of each picture's loss.

    Args:
      problem: the pictures.
      latents: whose priors are judged.
      image: what they paint.
      augment_key: of the change of both pictures before they are compared by
        their features; None for none.
    """
    image = image * problem.known
    squares = jnp.sum((image - problem.pictures) ** 2, axis=(1, 2, 3))
    count = 3 * jnp.sum(problem.known, axis=(1, 2, 3))
    look = jnp.zeros(len(image))
    if problem.distance is not None:
        pair = (problem.pictures, image)
        if augment_key is not None:
            strengths = problem.settings["color"], problem.settings["translation"]
            pair = augmented(augment_key, *pair, *strengths)
        look = problem.distance(*pair)
    # As it would have been drawn.
    z_local = latents.z_local / jnp.maximum(problem.truncation, _LEAST_TRUNCATION)
    return {
        "pixel": 0.5 * squares / count,
        "perceptual": look,
        "autocorrelation": sum(
            map(priors.autocorrelation, latents.noise), jnp.zeros(())
        ),
        "z_global": jnp.abs(jnp.mean(latents.z_global, axis=1)),
        "z_local_autocorrelation": _z_local_autocorrelation(z_local),
        "z_local": jnp.abs(priors.rms(z_local) - problem.settings["z_local_rms"]),
        "mahalanobis": priors.mahalanobis(problem.statistics, latents.styles),
    }


def weighted(
    settings: Mapping[str, Any], terms: Mapping[str, Float[Array, " b"]]
) -> Float[Array, " b"]:
    """Each picture's loss."""
    return sum(settings[f"{name}_weight"] * term for name, term in terms.items())


def advance(
    model: ModelConfig, problem: Problem, state: State, last: Int[Array, ""]
) -> tuple[State, dict[str, Float[Array, " b"]]]:
    """Steps until ``last``; a pure function.

    Returns:
      The state, and "loss" and "psnr" of each picture in the last step, with its
      perturbation.
    """
    nothing = jnp.zeros(len(problem.pictures))

    def body(
        _: Int[Array, ""], carry: tuple[State, dict[str, Array]]
    ) -> tuple[State, dict[str, Array]]:
        return _step(model, problem, carry[0])

    start = (state, {"loss": nothing, "psnr": nothing})
    return jax.lax.fori_loop(state.step, last, body, start)


def _step(model: ModelConfig, problem: Problem, state: State) -> Any:
    settings = problem.settings
    keys = [
        jax.random.fold_in(jax.random.fold_in(problem.key, stream), state.step)
        for stream in (_AUGMENT, _PERTURB)
    ]
    moved = perturbation(problem, state, keys[1])

    def loss(latents: Latents) -> tuple[Float[Array, ""], Any]:
        near = jax.tree.map(operator.add, latents, moved)
        size = problem.pictures.shape[1:3]
        image = paint(model, problem.params, near, problem.here, *size)
        terms = terms_of(problem, latents, image, keys[0])
        each = weighted(settings, terms)
        return jnp.sum(each), {"loss": each, "psnr": _psnr(2 * terms["pixel"])}

    gradient, report = jax.grad(loss, has_aux=True)(state.latents)
    kept = [
        g * share[None] for g, share in zip(gradient.noise, problem.inside, strict=True)
    ]
    z_local = gradient.z_local * problem.near[None, :, :, None]
    gradient = gradient._replace(z_local=z_local, noise=tuple(kept))
    with jax.numpy_dtype_promotion("standard"):  # Optax: float**int
        update, moments = _ADAM.update(gradient, state.moments)
    rate = learning_rate(settings, state.step)
    slow = rate * settings["structure_rate"]
    local = slow * problem.truncation
    rates = Latents(slow, rate, local, (rate,) * len(update.noise))
    latents = jax.tree.map(lambda x, u, r: x - r * u, state.latents, update, rates)
    noise = tuple(map(priors.renormalized, latents.noise, problem.inside))
    return State(state.step + 1, latents._replace(noise=noise), moments), report


def first_state(latents: Latents) -> State:
    """The state before the first step."""
    return State(jnp.int32(0), latents, _ADAM.init(latents))


def perturbation(problem: Problem, state: State, key: PRNGKeyArray) -> Latents:
    """Random offsets of a step; the same for all pictures."""
    settings, latents = problem.settings, state.latents
    share = _share_done(settings, state.step)
    fading = jnp.maximum(0.0, 1 - share / settings["perturbation_end"]) ** 2
    structure = settings["structure_perturbation"] * fading
    style = settings["style_perturbation"] * problem.statistics.spread * fading
    local = structure * problem.truncation
    scales = {"z_global": structure, "z_local": local, "styles": style}
    draws = _normals(key, {name: getattr(latents, name).shape[1:] for name in scales})
    offsets = {name: (scales[name] * draws[name])[None] for name in scales}
    zero = jnp.zeros((1, 1, 1))
    return Latents(noise=(zero,) * len(latents.noise), **offsets)


def _normals(
    key: PRNGKeyArray, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Normal draws of these shapes; one draw, as each takes a second to compile."""
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    flat = jax.random.normal(key, (sum(counts.values()),))
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = flat[start : start + count].reshape(shapes[name])
        start += count
    return parts


def _z_local_autocorrelation(z_local: Float[Array, "b H W l"]) -> Float[Array, " b"]:
    """Autocorrelation of the channels of local latents, on average."""
    batch, height, width, channels = z_local.shape
    maps = jnp.moveaxis(z_local, -1, 1).reshape(-1, height, width)
    each = priors.autocorrelation(maps).reshape(batch, channels)
    return jnp.mean(each, axis=1)


def _psnr(squared_error: Float[Array, " b"]) -> Float[Array, " b"]:
    """Decibels of a mean squared error of colours of -1 to 1."""
    return 10 * jnp.log10(4 / jnp.maximum(squared_error, 1e-10))


def first_latents(
    model: ModelConfig, place: Place, problem: Problem, count: int
) -> Latents:
    """Where the search starts: the mean style, and random local latents and noise."""
    shapes = place.shapes(model.z_local_size)
    noise_shapes = {f"{i}": shape for i, shape in enumerate(shapes.noise)}
    wanted = {
        "z_global": (model.z_global_size,),
        "z_local": shapes.z_local,
        **noise_shapes,
    }
    draws = _normals(jax.random.fold_in(problem.key, _START), wanted)
    styles = jnp.broadcast_to(
        problem.statistics.mean, (model.num_slots, model.z_global_size)
    )
    z_local = draws["z_local"] * problem.truncation
    one = Latents(
        draws["z_global"], styles, z_local, tuple(draws[i] for i in noise_shapes)
    )
    many = jax.tree.map(lambda x: jnp.broadcast_to(x[None], (count, *x.shape)), one)
    noise = tuple(map(priors.renormalized, many.noise, problem.inside))
    return many._replace(noise=noise)


def judge(
    model: ModelConfig, problem: Problem, latents: Latents
) -> tuple[UInt8[Array, "b h w 3"], dict[str, Float[Array, " b"]]]:
    """What latents paint, and the terms of their loss without any change at random."""
    size = problem.pictures.shape[1:3]
    image = paint(model, problem.params, latents, problem.here, *size)
    terms = terms_of(problem, latents, image)
    loss = weighted(problem.settings, terms)
    return to_uint8(image), {**terms, "loss": loss}
