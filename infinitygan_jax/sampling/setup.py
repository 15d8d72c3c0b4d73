"""How one world's tiles are painted: what all who take part in it are given."""

import dataclasses

import jax

from infinitygan_jax import coords
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.edit import Lattice
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.sampling.scene import PLAIN, Scene

Period = tuple[int | None, int | None]  # of rows and of columns, or None


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """All that painting a world's tiles takes, but for the generator's parameters.

    Attributes:
      model: as painted: maybe without its last stages.
      tile_size: pixels a side of a tile, as painted.
      devices: to paint on.
      frame: of the coordinates.
      batch_size: tiles that a device paints at once, at most.
      seed: of the fields, and of the style where ``scene`` has none.
      scene: what the world shows beside what follows from the seed.
      stopped: stages that the model is painted without, each of which halves the size.
      averaged: levels that tiles are then reduced by: squares of 2**averaged pixels a
        side become one.
      enlarged: octaves that a detail synthesizer adds to what the model paints.
    """

    model: ModelConfig
    tile_size: int
    devices: tuple[jax.Device, ...]
    frame: coords.Frame
    batch_size: int = 1
    seed: int = 0
    scene: Scene = PLAIN
    stopped: int = 0
    averaged: int = 0
    enlarged: int = 0

    @property
    def level(self) -> int:
        """The picture is of 1 / 2**level of the world's size."""
        return self.stopped + self.averaged - self.enlarged

    @property
    def lattice(self) -> Lattice:
        """Where cells lie in the world."""
        return Lattice(self.model.cell_size << self.stopped, self.frame)

    @property
    def period(self) -> Period:
        """Pixels, as painted, after which the world repeats."""
        # Whole cells, which are whole pixels at any level.
        rows, cols = (
            None if cells is None else cells * self.model.cell_size << self.enlarged
            for cells in self.lattice.periods
        )
        return rows, cols

    @property
    def first_repeat(self) -> tuple[int, int]:
        """Row and column, in the picture, where the repeat begins that is painted."""
        height = self.period[0]
        # Centred on row 0, as pictures are unless told otherwise.
        return 0 if height is None else -((height >> self.averaged) // 2), 0

    def plan(self, window: Window) -> Plan:
        """How a window is painted, were there no period.

        Raises:
          ValueError: at this level it lies beyond 2**62 pixels of level 0.
        """
        num_devices = len(self.devices)
        plan = Plan(window, self.tile_size, num_devices, self.batch_size, self.averaged)
        batch_size = costs.batch_for(plan.num_tiles, num_devices, self.batch_size)
        limit = planning.POSITION_LIMIT >> max(self.level, 0)
        if min(window.top, window.left) < -limit or (
            max(window.bottom, window.right) > limit
        ):
            raise UserError(
                f"rows and columns must lie within -2**62 to 2**62 at level 0, so "
                f"within {-limit} to {limit} at level {self.level}; choose an origin "
                "nearer to 0"
            )
        return dataclasses.replace(plan, batch_size=batch_size)

    def pieces(self, window: Window) -> list[list[Window]]:
        """What is painted for a window: itself, or with a period its parts, in rows.

        Each part lies in one and the same period, so that a place and its repeats are
        the same computation and agree byte for byte.
        """
        height, width = (p if p is None else p >> self.averaged for p in self.period)
        top, left = self.first_repeat
        rows = planning.pieces(window.top, window.height, top, height)
        cols = planning.pieces(window.left, window.width, left, width)
        return [[Window(y, x, h, w) for x, w in cols] for y, h in rows]


def default_batch_size(model: ModelConfig, tile_size: int, device: jax.Device) -> int:
    """Tiles that a device paints at once where nobody says.

    On a CPU one, so that the same tile is the same computation, bit for bit, whatever
    was asked for. Elsewhere as many as fit well into the device's memory.
    """
    if device.platform == "cpu":
        return 1
    stats = device.memory_stats() or {}
    return costs.fitting_batch(model, tile_size, stats.get("bytes_limit"))
