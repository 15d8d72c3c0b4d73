"""What a world shows beside what follows from its seed."""

import dataclasses

from infinitygan_jax.config import PAINTING, ModelConfig, check_painting
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.edits.edit import Edit
from infinitygan_jax.sampling.inputs import MAX_OCTAVES
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.styles import StyleField


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a world shows beside what follows from its seed.

    Attributes:
      styles: which styles show where; None for the seed's own all over.
      octaves: fields of local latents that are summed, each twice as coarse as the one
        before; 1 is as in training.
      edits: in order; a later one is over an earlier one.
      mix: fields between those of two seeds, in place of the seed's own.
      truncation: local latents are multiplied by this, 0 to 1; those of placements are
        not. None: as the model's settings say.
      noise_scale: noise, that of placements too, is multiplied by this, 0 to 1. None:
        as the model's settings say.
    """

    styles: StyleField | None = None
    octaves: int = 1
    edits: tuple[Edit, ...] = ()
    mix: Mix | None = None
    truncation: float | None = None
    noise_scale: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.octaves <= MAX_OCTAVES:
            raise UserError(
                f"octaves ({self.octaves}) must be from 1 to {MAX_OCTAVES}; 1 is "
                "as in training"
            )
        for name in PAINTING:
            if getattr(self, name) is not None:
                check_painting(name, getattr(self, name))

    def of_painting(self, name: str, model: ModelConfig) -> float:
        """One of `config.PAINTING` where this shows of a model."""
        own = getattr(self, name)
        return getattr(model, name) if own is None else own


PLAIN = Scene()
