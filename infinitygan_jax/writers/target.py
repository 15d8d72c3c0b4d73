"""What a writer is told of the picture that it writes."""

import dataclasses
import pathlib
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Target:
    """A picture that is to be written.

    Attributes:
      path: where it shall be; its ending says the format.
      height, width: its rows and columns.
      texts: what it says of itself, by keyword.
      overwrite: whether a file that is there may be replaced when the picture is whole,
        and an unfinished job of other arguments be thrown away, unless shards made it.
    """

    path: pathlib.Path
    height: int
    width: int
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overwrite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", pathlib.Path(self.path))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width
