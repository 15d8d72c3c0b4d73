"""The texture synthesizer: padding-free, StyleGAN2-like; and its mapping network."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax import geometry
from infinitygan_jax.models import convolution
from infinitygan_jax.models.layers import (
    EqualDense,
    activate,
    center_crop,
    pixel_norm,
)
from infinitygan_jax.models.styled import (
    Modulation,
    PlacedModulation,
    Style,
    StyledConv,
    ToRGB,
    modulate,
)

Styles = (
    Float[Array, "b n d"] | Sequence[Float[Array, "b _ _ d"]] | Mapping[str, Modulation]
)


class MappingNetwork(nn.Module):
    """PixelNorm and dense layers: global latents to styles.

    docs/model.md, section 4.2.

    Attributes:
      num_layers: dense layers, each as wide as the latent.
    """

    num_layers: int

    @nn.compact
    def __call__(self, z_global: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        x = pixel_norm(z_global.astype(jnp.float32))
        for i in range(self.num_layers):
            x = activate(EqualDense(x.shape[-1], lr_mul=0.01, name=f"dense_{i}")(x))
        return x


class TextureSynthesizer(nn.Module):
    """Up-sampling stages of valid convolutions: n -> (n - 5) 2**k + 5.

    docs/model.md, section 4.3.

    Attributes:
      widths: output channels by stage; their number is k.
      dtype: computing type.
      previews: whether there are colours of each stage but the last that show what the
        whole picture will be.
    """

    widths: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32
    previews: bool = False

    @nn.compact
    def __call__(
        self,
        structure: Float[Array, "b h w s"],
        styles: Styles,
        noise: Sequence[Float[Array, "b _ _ 1"]],
        previewed: bool = False,
    ) -> list[Float[Array, "b _ _ 3"]]:
        """Paints a window.

        Args:
          structure: structure latent of the window's cells.
          styles: one vector per slot, n = 2k + 1 of them; or 2k style maps, map i of
            the size of convolution i's input; or the `modulations` of vectors, all over
            or at the structure's cells and one more row and column after them.
          noise: 2k standard normal maps, map i of the size of convolution i's output.
          previewed: paint the previews, too, if there are any; from vectors only.

        Returns:
          float32 colours, about -1 to 1: the window's, last, and before them those of
          the previews, by stage, through which no gradient flows but to their own
          parameters.
        """
        previews = []
        x, rgb = structure.astype(self.dtype), None
        num_stages = len(self.widths)
        spans = geometry.axis_spans(0, structure.shape[1], num_stages)
        style = functools.partial(_style, styles, _slots(num_stages))
        here = spans.structure  # of x; columns begin as rows do
        for stage, width in enumerate(self.widths):
            up, plain, colours = (f"{kind}_{stage}" for kind in ("up", "conv", "rgb"))
            x = StyledConv(width, up=True, name=up)(  # n -> 2n - 3
                x, style(up, here, x), noise[2 * stage]
            )
            here = spans.noise[2 * stage]
            x = StyledConv(width, name=plain)(  # n -> n - 2
                x, style(plain, here, x), noise[2 * stage + 1]
            )
            here = spans.noise[2 * stage + 1]
            new = ToRGB(name=colours)(x, style(colours, here, x))
            if rgb is not None:  # n -> 2n - 1, cropped to this stage's 2n - 5
                rgb = center_crop(convolution.upsample_rgb(rgb), *x.shape[1:3])
                new = new + rgb
            rgb = new
            last = stage + 1 == num_stages
            if self.previews and not last and (previewed or self.is_initializing()):
                assert not isinstance(styles, Mapping | Sequence)  # but vectors
                # The last slot of a generator that ends here.
                vector = styles[:, 2 * stage + 2]
                preview = ToRGB(name=f"preview_{stage}")
                previews.append(
                    preview(jax.lax.stop_gradient(x), jax.lax.stop_gradient(vector))
                )
        assert rgb is not None  # there are stages
        return [*previews, rgb]


def modulations(
    params: Mapping[str, Any], styles: Float[Array, "*b n d"]
) -> dict[str, Modulation]:
    """Styles of n = 2k + 1 slots as each layer of k stages takes them, by its name.

    Args:
      params: of a `TextureSynthesizer`, which may have more stages.
      styles: mapped styles.
    """
    return {
        name: modulate(params[name], styles[..., slot, :], not name.startswith("rgb"))
        for name, slot in _slots(styles.shape[-2] // 2).items()
    }


def stopped_early(params: Mapping[str, Any], num_stages: int) -> Mapping[str, Any]:
    """Parameters for fewer stages, whose picture is the preview of the last of them.

    Args:
      params: of a `TextureSynthesizer` of more stages; without previews, colours are
        what those stages add to the picture.
      num_stages: those that are left.
    """
    kept = {name: params[name] for name in _slots(num_stages)}
    last = num_stages - 1
    if f"preview_{last}" not in params:
        return kept
    # A preview is of its stage's features alone: former stages add nothing.
    nothing = {
        f"rgb_{stage}": jax.tree.map(np.zeros_like, kept[f"rgb_{stage}"])
        for stage in range(last)
    }
    return {**kept, **nothing, f"rgb_{last}": params[f"preview_{last}"]}


def _slots(num_stages: int) -> dict[str, int]:
    """The slot that each layer takes, by its name (docs/model.md, section 4.4)."""
    slots = {}
    for stage in range(num_stages):
        slots[f"up_{stage}"] = 2 * stage
        slots[f"conv_{stage}"] = 2 * stage + 1
        # Slot 2j + 1 of stage j = 1 .. k - 1, and the last slot of stage k.
        slots[f"rgb_{stage}"] = min(2 * stage + 3, 2 * num_stages)
    return slots


def _style(
    styles: Styles,
    slots: Mapping[str, int],
    name: str,
    here: geometry.Span,
    x: Float[Array, "b h w i"],
) -> Style:
    """The style of a layer with input ``x``, whose rows are ``here``."""
    if isinstance(styles, Mapping):
        return PlacedModulation(styles[name], here.level, here.start)
    if not isinstance(styles, Sequence):
        return styles[:, slots[name]]
    # A ToRGB takes the map of its own stage's convolution (docs/model.md, section 3.8).
    style_map = styles[slots[name.replace("rgb", "conv")]]
    return center_crop(style_map, *x.shape[1:3])
