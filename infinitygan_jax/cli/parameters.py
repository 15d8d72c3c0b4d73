"""Parameters that messages name, as options of the command that prints them.

Messages of the package are for whoever calls its functions, and name their parameters
in backticks, as in "use a smaller `tile_size`". A command says "use a smaller --tile".
"""

import re
from collections.abc import Mapping

from infinitygan_jax import settings
from infinitygan_jax.config import Config

# What messages name, beside settings, and the option for it by its name in `argparse`.
# One with dashes is said by every command: another has it, which has to be run.
PARAMETERS = {
    "Document.save": "--save_world",
    "amend": "amend",
    "bundle": "checkpoint",
    "every": "every",
    "finish": "finish",
    "level": "level",
    "map_name": "style_map",
    "overwrite": "overwrite",
    "path": "out",
    "picture": "side",
    "quick": "quick",
    "shard": "shard",
    "texts": "styles",
    "tile_size": "tile",
    "vertical_span": "--vertical_span",
    "window": "origin",
    "workdir": "workdir",
    "written": "out",
}
_options: dict[str, str] = {}  # of the command that runs


def declare(options: Mapping[str, str]) -> None:
    """Says what options the command that runs has, as they are typed, by name."""
    _options.clear()
    _options.update(options)


def as_options(message: str) -> str:
    """A message of the package as the command that runs says it.

    A parameter that it has no option for keeps its name, without backticks. Whatever
    else is in backticks, such as a part of a file's name, stays.
    """
    return re.sub(r"`([\w.]+)`", _as_option, message)


def _as_option(match: re.Match[str]) -> str:
    name = match[1]
    if name in PARAMETERS:
        option = PARAMETERS[name]
    elif name in settings.setting_types(Config):
        option = name
    else:
        return match[0]
    return option if option.startswith("--") else _options.get(option, name)
