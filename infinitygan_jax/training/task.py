"""What the steps of training need to know of the network that they train."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, PRNGKeyArray

from infinitygan_jax.config import Config
from infinitygan_jax.models.features import FeatureNetwork

Batch = Mapping[str, Any]  # arrays, and trees of them


class Frozen(NamedTuple):
    """Networks that take part and do not learn: arguments of the steps.

    Attributes:
      features: what the discriminator looks through; None where it sees pixels alone.
      base: parameters of a generator, whose pictures a detail synthesizer enlarges;
        None where it learns from photographs alone.
    """

    features: FeatureNetwork | None
    base: Mapping[str, Any] | None


class Painted(NamedTuple):
    """What a network paints in training.

    Attributes:
      image: patches in about [-1, 1].
      losses: its own ones, beside what a discriminator says: what each weighs, and its
        value.
      wanted: pictures that some of these should resemble, if there are any.
      known: which of them.
    """

    image: Float[Array, "b p p 3"]
    losses: Mapping[str, tuple[float, Float[Array, ""]]]
    wanted: Float[Array, "n p p 3"] | None = None
    known: slice = slice(None)


class Labelled(NamedTuple):
    """Patches for a discriminator.

    Attributes:
      image: patches, not limited to [-1, 1].
      label: their vertical labels; zeros where there are none.
      plain: the patches before what changes a discriminator's inputs alone.
    """

    image: Float[Array, "b p p 3"]
    label: Float[Array, " b"]
    plain: Float[Array, "b p p 3"]


@runtime_checkable
class Task(Protocol):
    """A network to be trained against a discriminator; all methods are traceable.

    ``step`` is the number of steps done, ``purpose`` one of `draws`, and ``index`` the
    samples' places in the whole batch: what is drawn is a function of these.
    """

    @property
    def config(self) -> Config:
        """All settings."""

    @property
    def input_size(self) -> int:
        """Pixels a side of the photographs' windows in a batch."""

    def init(self, key: PRNGKeyArray) -> Mapping[str, Any]:
        """Fresh parameters."""

    def real(
        self, step: Int[Array, ""], purpose: int, index: Int[Array, " b"], batch: Batch
    ) -> Labelled:
        """A batch's photographs, augmented."""

    def frozen_base(self) -> Mapping[str, Any] | None:
        """What `Frozen` has of this task; not traceable.

        Raises:
          ValueError: it cannot be had.
        """

    def draw(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        batch: Batch,
        frozen: Frozen,
    ) -> Any:
        """Samples: what the network paints from, with their labels (``label``)."""

    def paint(self, params: Mapping[str, Any], samples: Any) -> Float[Array, "b p p 3"]:
        """Patches of samples."""

    def learn(self, params: Mapping[str, Any], samples: Any) -> Painted:
        """Patches of samples, with the network's own losses."""

    def generated(
        self,
        step: Int[Array, ""],
        purpose: int,
        index: Int[Array, " b"],
        image: Float[Array, "b p p 3"],
        label: Float[Array, " b"],
    ) -> Labelled:
        """Painted patches, augmented."""
