"""Statistics of local latents: known, or measured when they are needed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Statistics(NamedTuple):
    """Mean and standard deviation of each channel of local latents."""

    mean: Float[np.ndarray, " c"]
    deviation: Float[np.ndarray, " c"]


class MeasuredLater:
    """Stands for ``Statistics`` that are measured when one of them is read."""

    def __init__(self, measure: Callable[[], Statistics]):
        self._measure = measure

    @property
    def mean(self) -> Float[np.ndarray, " c"]:
        """See ``Statistics``."""
        return self._measure().mean

    @property
    def deviation(self) -> Float[np.ndarray, " c"]:
        """See ``Statistics``."""
        return self._measure().deviation
