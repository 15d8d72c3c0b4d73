"""The objective: pure functions of predictions, latents and images.

docs/model.md, section 7.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infinitygan_jax import geometry
from infinitygan_jax.models.layers import averaged

_DIVERSITY_EPSILON = 1e-5
_DEVIATION_EPSILON = 1e-3
_LEAST_SQUARE = 1e-6
_COSINE_LIMIT = 1.0 - 1e-6  # arccos has an infinite slope at +-1


Logits = Sequence[Float[Array, "b _"]]  # of each head of a discriminator
_Tree = TypeVar("_Tree")


def adversarial_d(form: str, real: Logits, fake: Logits) -> Float[Array, ""]:
    """Adversarial loss of D: a mean over samples and positions, summed over heads.

    Args:
      form: "non_saturating": softplus(-real) + softplus(fake), the paper's;
        "hinge": relu(1 - real) + relu(1 + fake); or "least_squares" (Mao et al. 2017):
        ((1 - real)^2 + (1 + fake)^2) / 2.
      real: logits of photographs.
      fake: logits of generated patches.
    """
    if form == "hinge":
        return _over_heads(lambda x: jax.nn.relu(1 - x), real) + _over_heads(
            lambda x: jax.nn.relu(1 + x), fake
        )
    if form == "least_squares":
        return _over_heads(lambda x: (1 - x) ** 2 / 2, real) + _over_heads(
            lambda x: (1 + x) ** 2 / 2, fake
        )
    return _over_heads(lambda x: jax.nn.softplus(-x), real) + _over_heads(
        jax.nn.softplus, fake
    )


def adversarial_g(
    form: str, fake: Logits, weights: Sequence[float] | None = None
) -> Float[Array, ""]:
    """Adversarial loss of G: softplus(-fake), or -fake with the other two forms.

    (Least squares ask D for logits of 1 and -1, and are not what G goes down: their
    gradient would vanish where D takes a patch for a photograph.)

    Args:
      form: as D's.
      fake: logits of generated patches.
      weights: of each head; by default 1.
    """
    if form in ("hinge", "least_squares"):
        return _over_heads(lambda x: -x, fake, weights)
    return _over_heads(lambda x: jax.nn.softplus(-x), fake, weights)


def _over_heads(
    function: Callable[[Array], Array],
    logits: Logits,
    weights: Sequence[float] | None = None,
) -> Float[Array, ""]:
    weights = (1.0,) * len(logits) if weights is None else weights
    terms = (
        weight * jnp.mean(function(each))
        for weight, each in zip(weights, logits, strict=True)
    )
    return sum(terms, jnp.zeros(()))


def score(logits: Logits) -> Float[Array, " b"]:
    """Each sample's logits: a mean over positions, summed over heads."""
    return sum((jnp.mean(each, axis=1) for each in logits), jnp.zeros(()))


def vertical_coordinate(
    prediction: Float[Array, "b _"], label: Float[Array, " b"]
) -> Float[Array, ""]:
    """Mean absolute error of the coordinate head's first output against the label."""
    return jnp.mean(jnp.abs(prediction[:, 0] - label))


def r1(
    discriminate: Callable[[_Tree], Float[Array, " b"]], real: _Tree
) -> Float[Array, ""]:
    """Mean over samples of the squared norm of the gradient of sum D(real) by real.

    docs/model.md, section 7.3.

    Args:
      discriminate: what D sees of patches to their scores.
      real: what it sees of photographs, arrays of samples: pixels, or more.
    """
    gradient = jax.grad(lambda seen: jnp.sum(discriminate(seen)))(real)
    norms = (
        jnp.sum(jnp.square(each.astype(jnp.float32)), axis=tuple(range(1, each.ndim)))
        for each in jax.tree.leaves(gradient)
    )
    return sum((jnp.mean(each) for each in norms), jnp.zeros(()))


def path_lengths(
    paint: Callable[[Float[Array, "b n d"]], Float[Array, "b h w 3"]],
    styles: Float[Array, "b n d"],
    projection: Float[Array, "b h w 3"],
) -> Float[Array, " b"]:
    """Root mean square over slots and channels of the projected styles' gradient.

    docs/model.md, section 7.4.

    Args:
      paint: styles to images, sample by sample.
      styles: style vectors of every slot.
      projection: standard normal draws of the images' shape; divided by sqrt(h w) here.
    """
    pixels = projection.shape[1] * projection.shape[2]
    weight = projection / jnp.sqrt(jnp.float32(pixels))
    gradient = jax.grad(lambda s: jnp.sum(paint(s) * weight))(styles)
    return jnp.sqrt(jnp.mean(gradient * gradient, axis=(1, 2)))


def path_penalty(
    lengths: Float[Array, " b"], mean_length: Float[Array, ""]
) -> Float[Array, ""]:
    """Mean squared distance of path lengths from their running mean."""
    return jnp.mean(jnp.square(lengths - mean_length))


def diversity(
    form: str,
    structure: Float[Array, "b h w s"],
    z_local: Float[Array, "b H W l"],
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Mode seeking on structure latents: different local latents, different structures.

    Samples 2i and 2i + 1 are a pair that shares the global latent and the coordinates.
    The means are over all pairs of the batch, on all devices.

    Args:
      form: "l1", the paper's mean|z1 - z2| / mean|s1 - s2|; "angular_distance", the
        same ratio of angles between the vectors; or "released_angular_similarity", the
        public code's ratio of *similarities*, which pulls a pair's structures together
        and whose slope is infinite where they agree (docs/model.md, section 7.5): for
        comparison.
      structure: structure latents.
      z_local: the local latents that they were made from.
      axis_name: mapped device axis over which the batch is split, if it is.
    """
    s1, s2 = _pairs(structure)
    z1, z2 = _pairs(z_local)

    def mean(x: Array) -> Array:
        return (
            jnp.mean(x) if axis_name is None else jax.lax.pmean(jnp.mean(x), axis_name)
        )

    if form == "l1":
        latents, structures = mean(jnp.abs(z1 - z2)), mean(jnp.abs(s1 - s2))
        return latents / (structures + _DIVERSITY_EPSILON)
    if form == "angular_distance":
        return mean(_angle(z1, z2)) / (mean(_angle(s1, s2)) + _DIVERSITY_EPSILON)
    similarity = [mean(1 - _angle(x, y, safe=False)) for x, y in ((s1, s2), (z1, z2))]
    return 1 / (similarity[0] / similarity[1] + _DIVERSITY_EPSILON)


def previews(pictures: Sequence[Float[Array, "b _ _ 3"]]) -> Float[Array, ""]:
    """How far the previews of early stages are from the whole picture, reduced.

    Half the mean squared difference, summed over stages (docs/model.md, section 7.7).

    Args:
      pictures: of training patches, by stage, the whole one last
        (`Generator.with_previews`); no gradient flows through it.
    """
    spans = geometry.axis_spans(0, geometry.PATCH_CELLS, len(pictures))
    whole = jax.lax.stop_gradient(pictures[-1])
    total = jnp.zeros(())
    for stage, picture in enumerate(pictures[:-1]):
        square = 2 ** (spans.pixels.level - stage - 1)
        # Pixel i of a stage shows the whole one's i * square to (i + 1) * square - 1.
        first = -(-spans.pixels.start // square)
        stop = spans.pixels.stop // square
        seen = slice(*(n * square - spans.pixels.start for n in (first, stop)))
        here = slice(*(n - spans.noise[2 * stage + 1].start for n in (first, stop)))
        error = picture[:, here, here] - averaged(whole[:, seen, seen], square)
        total += jnp.mean(jnp.square(error)) / 2
    return total


def witness(
    features: Float[Array, "b d"],
    real: Float[Array, "n d"],
    fake: Float[Array, "m d"],
    widths: Sequence[int],
) -> Float[Array, ""]:
    """Where generated features lie in the witness function of the energy distance.

    docs/model.md, section 7.6. The energy distance (Szekely and Rizzo, 2013) of two
    sets, twice the mean distance between them less those within each, is what this
    function is in the mean over the generated set, less its mean over the other; so its
    gradient by generated features is what brings the sets together. It is the kernel
    distance for the kernel -|x - y|, which tells any two distributions apart, has no
    width to choose, and whose gradient is bounded: features far from all photographs',
    as a generator makes at first, do not drown the others.

    Distances are of features with mean 0 and deviation 1 over photographs, over the
    root of their number; a mean over the groups of features.

    Args:
      features: of generated patches, which the gradient is taken of.
      real: of photographs, of some time past.
      fake: of generated patches, of some time past.
      widths: of the groups of features, whose sum is d.
    """
    mean, deviation = jnp.mean(real, axis=0), jnp.std(real, axis=0)
    ends = np.cumsum(widths)[:-1]
    groups = (
        jnp.split((x - mean[None]) / (deviation[None] + _DEVIATION_EPSILON), ends, 1)
        for x in (features, real, fake)
    )
    total = jnp.zeros(())
    for x, of_real, of_fake in zip(*groups, strict=True):
        total += jnp.mean(_distances(x, of_real)) - jnp.mean(_distances(x, of_fake))
    return total / len(widths)


def _distances(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Roots of the mean squared differences of all pairs."""
    products = jnp.einsum("nd,md->nm", x, y, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.sum(jnp.square(x), axis=1)[:, None]
    squares += jnp.sum(jnp.square(y), axis=1)[None] - 2 * products
    # The slope of the root is infinite at 0, where rounding may even be below it.
    return jnp.sqrt(jnp.maximum(squares / x.shape[1], _LEAST_SQUARE))


def _pairs(x: Float[Array, "b *shape"]) -> tuple[Array, Array]:
    flat = x.astype(jnp.float32).reshape(x.shape[0] // 2, 2, -1)
    return flat[:, 0], flat[:, 1]


def _angle(
    x: Float[Array, "p n"], y: Float[Array, "p n"], safe: bool = True
) -> Float[Array, " p"]:
    """Angle between vectors as a fraction of a half turn, 0 to 1."""
    norms = jnp.linalg.norm(x, axis=-1) * jnp.linalg.norm(y, axis=-1)
    cosine = jnp.sum(x * y, axis=-1) / jnp.maximum(norms, 1e-8)
    if safe:
        cosine = jnp.clip(cosine, -_COSINE_LIMIT, _COSINE_LIMIT)
    return jnp.arccos(cosine) / jnp.pi


def feature_distance(
    taps: Sequence[Float[Array, "b _ _ _"]],
    wanted: Sequence[Float[Array, "b _ _ _"]],
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Mean absolute difference of features, of each tap as a share of its size; summed.

    Args:
      taps: of painted pictures.
      wanted: of the pictures that these should resemble.
      axis_name: mapped device axis that the batch is split over, if it is: sizes are
        means over all of it.
    """
    shares = []
    for each, other in zip(taps, wanted, strict=True):
        other = other.astype(jnp.float32)
        apart = jnp.mean(jnp.abs(each.astype(jnp.float32) - other))
        size = jax.lax.stop_gradient(jnp.mean(jnp.abs(other)))
        if axis_name is not None:
            size = jax.lax.pmean(size, axis_name)
        shares.append(apart / (size + 1e-6))
    return jnp.sum(jnp.stack(shares))
