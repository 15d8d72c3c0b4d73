"""Inversions as parts of worlds: placed anywhere, without inverting again."""

from infinitygan_jax import coords
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.sampling.edits.compositing import Known
from infinitygan_jax.sampling.edits.placement import Placement
from infinitygan_jax.sampling.frame import frame_of


def frame_of_inversion(inversion: Inversion, model: ModelConfig) -> coords.Frame:
    """Coordinates of the world that a picture was inverted in."""
    return frame_of(model, 0, inversion.vertical_span, (None, None))


def placement_of(
    inversion: Inversion,
    model: ModelConfig,
    top: int,
    left: int,
    feather: int = 0,
    exact: bool = True,
    styled: bool = True,
) -> Placement:
    """A picture at a place of a world.

    Args:
      inversion: of the picture.
      model: that it was made with.
      top: world row of the picture's first pixel.
      left: its column; both whole cells.
      feather: pixels over which its style and coordinates fade into the world's.
      exact: show the picture's own known pixels, not what its latents paint.
      styled: bring its style, too; else it takes that of its place in the world.

    Raises:
      ValueError: the place is not on the model's cells.
    """
    height, width = inversion.image.shape[:2]
    return Placement(
        top=top,
        left=left,
        height=height,
        width=width,
        num_stages=model.num_stages,
        source=inversion.source if styled else None,
        z_local=inversion.z_local,
        noise=inversion.noise,
        coords_kind=model.coords,
        frame=frame_of_inversion(inversion, model),
        own_top=inversion.top,
        own_left=inversion.left,
        feather=feather,
        known=Known(inversion.image, inversion.mask) if exact else None,
        finer=inversion.finer if exact else None,
        zooms=inversion.zooms if exact else 0,
    )
