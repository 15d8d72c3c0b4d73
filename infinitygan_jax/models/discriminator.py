"""What training, checkpoints and inversion need to know of a discriminator.

A discriminator has parameters, which learn, and a state, which does not learn and goes
with them (`Discriminator.init`). One that sees features of a frozen network is given
this network at each call (`Discriminator.network`): its weights are neither parameters
nor state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray

from infinitygan_jax.models.features import FeatureNetwork

# What a frozen network sees in patches, at several strides.
Taps = tuple[Float[Array, "b _ _ _"], ...]


class Output(NamedTuple):
    """What a discriminator makes of a batch of patches.

    Attributes:
      logits: of each of its heads, at one position or several; real is positive.
      coords: outputs of the coordinate head; the first predicts the vertical label.
      taps: what its frozen network sees in the patches; none without such a network.
    """

    logits: tuple[Float[Array, "b _"], ...]
    coords: Float[Array, "b _"]
    taps: Taps


@runtime_checkable
class Discriminator(Protocol):
    """A discriminator of some sizes; `discriminators.discriminator_of` makes one."""

    @property
    def is_bundled(self) -> bool:
        """Whether bundles keep it, so that inversion can compare pictures by it."""

    @property
    def samples_together(self) -> int:
        """How many consecutive samples are judged together.

        1: each alone; 0: the whole batch.
        """

    def network(self) -> FeatureNetwork | None:
        """The frozen network that it looks through, or None.

        Raises:
          ValueError: its weights cannot be read.
        """

    def head_weights(
        self, pixel_weight: float, layout_weight: float
    ) -> tuple[float, ...]:
        """What each head's logits weigh in the loss of G.

        Args:
          pixel_weight: of the head on pixels beside heads on features, if there is one.
          layout_weight: likewise of the head on layout.
        """

    def operations(self) -> int:
        """Operations of the products of what learns, for one patch."""

    def network_operations(self) -> int:
        """Operations of the frozen network's convolutions for one patch, or 0."""

    def init(self, key: PRNGKeyArray) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Fresh float32 parameters and state."""

    def taps(
        self, network: FeatureNetwork | None, image: Float[Array, "b p p 3"]
    ) -> Taps:
        """What the frozen network sees in patches; nothing where there is none.

        Args:
          network: what `network` returned.
          image: float32 patches in [-1, 1].

        Returns:
          Its taps, of the computing type.

        Raises:
          ValueError: patches are too small for the network.
        """

    def judge(
        self,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        network: FeatureNetwork | None,
        image: Float[Array, "b p p 3"],
        axis_name: str | None = None,
        taps: Taps | None = None,
    ) -> Output:
        """Discriminates real patches from generated ones.

        Args:
          params: its parameters.
          state: its state.
          network: what `network` returned.
          image: float32 patches in [-1, 1].
          axis_name: mapped device axis that the batch is split over, if it is:
            statistics of a batch are over all of it.
          taps: `taps` of these patches, if they are known.

        Returns:
          What it makes of them, float32.

        Raises:
          ValueError: patches are too small for the network.
        """

    def refreshed(
        self, params: Mapping[str, Any], state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The state that goes with parameters that have just been updated."""
