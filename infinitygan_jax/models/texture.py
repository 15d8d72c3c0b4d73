"""The texture synthesizer: padding-free, StyleGAN2-like; and its mapping network."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models import convolution
from infinitygan_jax.models.layers import (
    Blend,
    EqualDense,
    Style,
    StyledConv,
    ToRGB,
    activate,
    center_crop,
    crop_style,
    pixel_norm,
)


class MappingNetwork(nn.Module):
    """PixelNorm and dense layers: global latents to styles (spec section 3).

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
    """Up-sampling stages of valid convolutions: n -> (n - 5) 2**k + 5 (spec section 3).

    Attributes:
      widths: output channels by stage; their number is k.
      dtype: computing type.
    """

    widths: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        structure: Float[Array, "b h w s"],
        styles: Float[Array, "b n d"] | Blend | Sequence[Float[Array, "b _ _ d"]],
        noise: Sequence[Float[Array, "b _ _ 1"]],
    ) -> Float[Array, "b H W 3"]:
        """Paints a window.

        Args:
          structure: structure latent of the window's cells.
          styles: one vector per slot, n = 2k + 1 of them; or a blend [b, s, n, d] of
            such, with weights of the structure's size, which are interpolated for the
            stages; or 2k style maps, map i of the size of convolution i's input.
          noise: 2k standard normal maps, map i of the size of convolution i's output.

        Returns:
          float32 colours, about -1 to 1.
        """
        x, rgb = structure.astype(self.dtype), None
        weights = styles.weights if isinstance(styles, Blend) else None
        by_slot = weights is not None or not isinstance(styles, Sequence)
        for stage, width in enumerate(self.widths):
            up, plain = 2 * stage, 2 * stage + 1
            layer = StyledConv(width, up=True, name=f"up_{stage}")
            x = layer(x, _style(styles, up, weights), noise[up])  # n -> 2n - 3
            if weights is not None:  # n -> 2n - 1, of which convolutions lose the rim
                finer = convolution.upsample_rgb(weights)
                weights = center_crop(finer, *x.shape[1:3])
            layer = StyledConv(width, name=f"conv_{stage}")
            style = _style(styles, plain, weights)
            x = layer(x, style, noise[plain])  # n -> n - 2
            if by_slot:
                # Slot 2j + 1 of stage j = 1 .. k - 1, and the last slot of stage k.
                slot = min(2 * stage + 3, 2 * len(self.widths))
                style = _style(styles, slot, weights)
            style = crop_style(style, *x.shape[1:3])
            if weights is not None:
                weights = center_crop(weights, *x.shape[1:3])
            new = ToRGB(name=f"rgb_{stage}")(x, style)
            if rgb is not None:  # n -> 2n - 1, cropped to this stage's 2n - 5
                rgb = center_crop(convolution.upsample_rgb(rgb), *x.shape[1:3])
                new = new + rgb
            rgb = new
        return rgb


def _style(
    styles: Float[Array, "b n d"] | Blend | Sequence[Float[Array, "b _ _ d"]],
    slot: int,
    weights: Float[Array, "b h w s"] | None,
) -> Style:
    """The style of a slot; ``weights`` are a blend's at the place of use."""
    if isinstance(styles, Blend):
        return Blend(weights, styles.vectors[:, :, slot])
    return styles[slot] if isinstance(styles, Sequence) else styles[:, slot]
