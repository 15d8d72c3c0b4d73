"""Pictures to latents: the search set up, run, and its result judged."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt8

from infinitygan_jax import devices, fields
from infinitygan_jax.bundle import Bundle
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.inversion import memory, perceptual, priors, search
from infinitygan_jax.inversion.place import (
    LEAST_CELLS,
    Latents,
    Perspective,
    Place,
    coords_of,
    default_span,
    default_top,
)
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.inversion.search import Problem
from infinitygan_jax.inversion.settings import Settings
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.generator import with_noise_scale

_FEW_STEPS = 10  # for which optimizing the program does not pay


def _tell_nobody(number: int, report: Mapping[str, np.ndarray]) -> None:
    """See `Watch`."""


class Watch(NamedTuple):
    """Who is told how a search goes on.

    Attributes:
      on_steps: called with a number of steps, and "loss" and "psnr" of the pictures,
        whenever so many are done; what it raises ends the search.
      every: how many steps that is.
    """

    on_steps: Callable[[int, Mapping[str, np.ndarray]], None] = _tell_nobody
    every: int = 10


def invert(
    bundle: Bundle,
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    settings: Settings = Settings(),  # noqa: B008
    *,
    distance: perceptual.Distance | None = None,
    perspective: Perspective = Perspective(),  # noqa: B008
    start: Latents | None = None,
    watch: Watch = Watch(),  # noqa: B008
) -> list[Inversion]:
    """Finds latents of pictures of one size, all at once.

    They share all random draws, so that a picture's result does not depend on those
    beside it, beyond rounding.

    Args:
      bundle: the model.
      images: the pictures.
      masks: True where their pixels are known; None where all are.
      settings: of the search.
      distance: perceptual distance; by default `perceptual.distance_of` the model.
      perspective: where the horizon lies, and the world's vertical range.
      start: latents to start from; by default the mean style and random others.
      watch: who is told how it goes on.

    Raises:
      ValueError: pictures of several sizes, too small, or too large for memory; masks
        of other sizes, or that know nothing; a value out of range.
    """
    model = bundle.config.model
    if not settings.perceptual_weight:
        distance = None
    elif distance is None:
        distance = perceptual.distance_of(bundle)
    check_pictures(model, images, masks, distance)
    height, width = images[0].shape[:2]
    vertical_span = perspective.vertical_span
    if vertical_span is None:
        vertical_span = default_span(model)
    top = default_top(height, perspective.horizon, model.num_stages)
    place = Place(top, 0, height, width, model.num_stages)
    known = np.ones((len(images), height, width), bool)
    if masks is not None:
        known = np.stack(masks)
    problem = _problem(
        bundle,
        distance,
        np.stack(images),
        known,
        settings,
        place,
        vertical_span,
    )
    if start is None:
        start = search.first_latents(model, place, problem, len(images))
    run, judge = _compiled(model, settings.steps <= _FEW_STEPS)
    latents = _search(run, problem, start, settings.steps, watch)
    painted, figures = jax.tree.map(np.asarray, judge(problem, latents))
    figures["psnr"] = list(map(psnr, painted, images, known))
    figures["steps"] = [settings.steps] * len(images)
    return [
        Inversion(
            **jax.tree.map(lambda x, i=index: np.asarray(x[i]), latents)._asdict(),
            image=image,
            mask=mask,
            figures={name: float(each[index]) for name, each in figures.items()},
            top=place.top,
            left=place.left,
            vertical_span=vertical_span,
            digest=bundle.digest,
            model_name=bundle.config.name,
            distance="none" if distance is None else distance.name,
        )
        for index, (image, mask) in enumerate(zip(images, known, strict=True))
    ]


def _search(
    run: Callable[..., Any],
    problem: Problem,
    start: Latents,
    num_steps: int,
    watch: Watch,
) -> Latents:
    """Runs all steps; see `invert`."""
    state = search.first_state(start)
    for first in range(0, num_steps, watch.every):
        last = min(first + watch.every, num_steps)
        state, report = run(problem, state, jnp.int32(last))
        report = jax.tree.map(np.asarray, report)
        if not np.isfinite(report["loss"]).all():
            raise FloatingPointError(
                f"the loss must be finite, and was not before step {last}; use "
                "settings nearer to the default, such as a learning_rate of "
                f"{Settings().learning_rate}"
            )
        watch.on_steps(last - first, report)
    return state.latents


def check_pictures(
    model: ModelConfig,
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None,
    distance: perceptual.Distance | None,
) -> None:
    """Checks that pictures can be inverted at once: sizes, masks, memory.

    Args:
      model: the model.
      images: the pictures.
      masks: True where their pixels are known; None where all are.
      distance: perceptual distance; None where there is none.

    Raises:
      ValueError: sizes differ, are too small for the model or the distance, or too
        large for memory; or nothing is known.
    """
    if not images:
        raise UserError("there must be at least one picture; give one")
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        raise UserError(
            f"pictures that are inverted at once must be of one size, and are of "
            f"{len(sizes)}; invert them one after the other"
        )
    height, width = sizes.pop()
    least = LEAST_CELLS * model.cell_size
    if min(height, width) < least:
        raise UserError(
            f"picture ({width}x{height}) must be at least {least}x{least} pixels, "
            f"{LEAST_CELLS} cells of the model, which a pixel's texture is "
            "made from; use a larger one"
        )
    perceptual.check_size(distance, height, width)
    memory.check(model, distance, height, width, len(images))
    if masks is None:
        return
    if len(masks) != len(images) or any(m.shape != (height, width) for m in masks):
        raise UserError(
            f"masks must be one for each picture, of its size ({width}x{height}); "
            "resize them"
        )
    if not all(mask.any() for mask in masks):
        raise UserError("a mask must leave pixels known, and one knows none")


def psnr(
    painted: UInt8[np.ndarray, "h w 3"],
    image: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
) -> float:
    """Decibels of the known pixels; 99 where all are equal."""
    error = painted[mask].astype(np.float64) - image[mask]
    mean = float(np.mean(error * error))
    return min(10 * math.log10(255**2 / mean), 99.0) if mean else 99.0


def _problem(
    bundle: Bundle,
    distance: perceptual.Distance | None,
    images: UInt8[np.ndarray, "b h w 3"],
    known: Bool[np.ndarray, "b h w"],
    settings: Settings,
    place: Place,
    vertical_span: int | None,
) -> Problem:
    model = bundle.config.model
    here = coords_of(model, place, vertical_span)
    weights = known[..., None].astype(np.float32)
    numbers = dataclasses.asdict(settings)
    seed = numbers.pop("seed")  # no float32 holds it
    return Problem(
        params=with_noise_scale(bundle.generator, model.noise_scale),
        distance=distance,
        statistics=priors.style_statistics(
            model, bundle.generator, settings.style_samples
        ),
        settings={name: np.float32(value) for name, value in numbers.items()},
        pictures=jnp.asarray(
            (images.astype(np.float32) / np.float32(127.5) - 1) * weights
        ),
        known=jnp.asarray(weights),
        here=jnp.asarray(here),
        near=jnp.asarray(place.cells_near(settings.margin)),
        inside=tuple(map(jnp.asarray, place.noise_inside())),
        key=fields.key_of(seed),
        truncation=model.truncation,
    )


@functools.lru_cache(maxsize=8)
def _compiled(
    model: ModelConfig, hurry: bool
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Search and judgement; settings are arguments, so that all share one program."""
    jit = devices.jit_in_a_hurry if hurry else jax.jit
    run = functools.partial(search.advance, model)
    return jit(run), jit(functools.partial(search.judge, model))
