"""Statistics that edits take from elsewhere, measured when a tile first needs them."""

import dataclasses
import functools
import threading
from collections.abc import Mapping, Sequence

from infinitygan_jax.sampling.edits.edit import Edit
from infinitygan_jax.sampling.edits.region import Boxes
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.edits.statistics import MeasuredLater, Statistics
from infinitygan_jax.sampling.world import World

Rectangle = tuple[int, int, int, int]  # first row, first column, height, width


class Measurements:
    """What edits of one world ask for: statistics of what former edits left somewhere.

    Attributes:
      edits: with statistics that are measured when they are needed.
    """

    def __init__(
        self,
        plain: World,
        edits: Sequence[Edit],
        rectangles: Mapping[int, Rectangle],
    ):
        """Takes what is asked; nothing is measured yet.

        Args:
          plain: the world without edits.
          edits: all of them, in order.
          rectangles: that are measured, by the index of the edit that asks.
        """
        self._plain = plain
        self._rectangles = rectangles
        self._boxes = Boxes([(edit.region, edit.reach) for edit in edits])
        self._found: dict[int, Statistics] = {}
        # Tiles that are painted side by side wait for one of them to measure.
        self._lock = threading.RLock()
        completed = list(edits)
        for index in rectangles:
            edit = edits[index]
            assert isinstance(edit, Resample)  # no other kind takes statistics
            later = MeasuredLater(functools.partial(self.of, index))
            completed[index] = dataclasses.replace(edit, statistics=later)
        self.edits = tuple(completed)

    def check(self, index: int) -> None:
        """Checks that what an edit asks for can be measured; measures nothing.

        Raises:
          ValueError: it cannot.
        """
        self._before(index).check_statistics(*self._rectangles[index])

    def of(self, index: int) -> Statistics:
        """What an edit asks for."""
        with self._lock:
            # In order, those that it depends on first: no chain of them is too long.
            for each in self._needed(index):
                found = self._before(each).latent_statistics(*self._rectangles[each])
                self._found[each] = Statistics(*found)
            return self._found[index]

    def _needed(self, index: int) -> list[int]:
        """What is to be measured before an edit's statistics are known, in order."""
        found, wanted = set(), [index]
        while wanted:
            each = wanted.pop()
            if each not in found and each not in self._found:
                found.add(each)
                wanted += [i for i in self._former(each) if i in self._rectangles]
        return sorted(found)

    def _before(self, index: int) -> World:
        """A world of the edits before one that reach its rectangle.

        The others change nothing there, and many edits do not make many worlds of many.
        """
        former = tuple(self.edits[i] for i in self._former(index))
        scene = dataclasses.replace(self._plain.scene, edits=former)
        return dataclasses.replace(self._plain, scene=scene)

    def _former(self, index: int) -> list[int]:
        near = self._boxes.meeting(*self._rectangles[index], self._plain.period)
        return [i for i in near if i < index]
