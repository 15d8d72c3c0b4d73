"""Latents that paint a given picture, at its place in the world; and their file."""

import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices, files, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.inversion.place import Latents, Place, coords_of, paint
from infinitygan_jax.messages import UserError, one_line
from infinitygan_jax.models.generator import to_uint8, with_noise_scale
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.compositing import Known
from infinitygan_jax.sampling.styles import Given
from infinitygan_jax.sampling.tiles import Look

FORMAT = "infinitygan_jax inversion 1"
SUFFIX = ".npz"
MAX_BYTES = 2**31  # of a file's arrays
_MAX_TEXT = 2**16
_ARRAYS = ("z_global", "styles", "z_local", "image", "mask")
_FINER = ("finer_image", "finer_mask")  # which a file may be without
_TEXTS = ("about", "sha256")


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion:
    """A picture as the model's latents, at world coordinates.

    Attributes:
      z_global: global latent, the structure synthesizer's style.
      styles: a style per slot (W+).
      z_local: local latents over ``place``'s latent spans: its cells and margins.
      noise: noise maps over its noise spans, one per texture convolution.
      image: the picture that was inverted.
      mask: True where its pixels were known.
      finer_image, finer_mask: the same seen closer, 2**zooms times as large, of which
        ``image`` are the means; None where nothing finer is known.
      zooms: the picture's own pixels are those of level ``-zooms``.
      top, left: world row and column of the picture's first pixel, in a world whose
        horizon is row 0; whole cells.
      vertical_span: pixels of that world's vertical range; None for a model without.
      digest: the checkpoint's.
      model_name: the checkpoint's.
      distance: by what "perceptual" was measured: "discriminator", "features",
        "lpips" or "none".
      figures: what was reached: "psnr" (dB), "steps", "loss" and its terms by the
        names of their weights in ``Settings``.
    """

    z_global: Float32[np.ndarray, " d"]
    styles: Float32[np.ndarray, "n _"]
    z_local: Float32[np.ndarray, "H W l"]
    noise: tuple[Float32[np.ndarray, "_ _"], ...]
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "_ _"]
    top: int
    left: int
    vertical_span: int | None
    digest: str
    model_name: str
    distance: str = "none"
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    finer_image: UInt8[np.ndarray, "_ _ 3"] | None = None
    finer_mask: Bool[np.ndarray, "_ _"] | None = None
    zooms: int = 0

    def __post_init__(self) -> None:
        _check_arrays(self)

    @functools.cached_property
    def source(self) -> Given:
        """Its style, for a world."""
        return Given(Look(self.z_global, self.styles))

    @property
    def finer(self) -> Known | None:
        """What is known of a closer look at the picture."""
        if self.finer_image is None or self.finer_mask is None:
            return None
        return Known(self.finer_image, self.finer_mask)

    @property
    def own_size(self) -> tuple[int, int]:
        """Height and width of the picture at its own level."""
        image = self.image if self.finer_image is None else self.finer_image
        return image.shape[0], image.shape[1]

    @property
    def num_stages(self) -> int:
        """Of the model."""
        return (len(self.styles) - 1) // 2

    @property
    def place(self) -> Place:
        """Where the picture lies."""
        height, width = self.image.shape[:2]
        return Place(self.top, self.left, height, width, self.num_stages)

    @property
    def latents(self) -> Latents:
        """All latents, as a batch of one."""
        return Latents(
            jnp.asarray(self.z_global)[None],
            jnp.asarray(self.styles)[None],
            jnp.asarray(self.z_local)[None],
            tuple(jnp.asarray(each)[None] for each in self.noise),
        )

    def check_model(self, bundle: bundle_lib.Bundle) -> None:
        """Checks that a checkpoint is the one that this was made with.

        Raises:
          ValueError: it is another; the message names both.
        """
        if self.digest != bundle.digest:
            raise UserError(
                f"inversion must be of checkpoint {bundle.config.name} "
                f"({bundle.digest[:12]}), and it is of {self.model_name} "
                f"({self.digest[:12]}); use that checkpoint, or invert again"
            )
        model = bundle.config.model
        sizes = (model.z_global_size, model.z_local_size, model.num_slots)
        have = (self.z_global.size, self.z_local.shape[-1], len(self.styles))
        if have != sizes:
            raise UserError(
                f"inversion must have latents of the model's sizes {sizes}, and has "
                f"{have}; invert again"
            )

    def render(self, bundle: bundle_lib.Bundle) -> UInt8[np.ndarray, "h w 3"]:
        """What the latents paint in the picture's place.

        Raises:
          ValueError: the checkpoint is another.
        """
        self.check_model(bundle)
        model, place = bundle.config.model, self.place
        here = coords_of(model, place, self.vertical_span)
        painted = _painter(model, place.height, place.width)
        params = with_noise_scale(bundle.generator, model.noise_scale)
        return np.asarray(painted(params, self.latents, here)[0])

    def save(self, path: str | os.PathLike[str]) -> int:
        """Writes one ``.npz`` file; aside first, then renamed.

        It holds the arrays by name (``noise_00``, ...), ``about``, a JSON text of all
        else with the format's name and version, and ``sha256`` of both.

        Returns:
          The file's size in bytes.

        Raises:
          ValueError: the ending is not ``.npz`` or the folder cannot be written.
          OSError: it cannot be written.
        """
        files.check_target(path, SUFFIX)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.finer is not None:
            arrays |= {name: getattr(self, name) for name in _FINER}
        arrays |= {_noise_name(i): each for i, each in enumerate(self.noise)}
        about = json.dumps({"format": FORMAT, **self._about()}, sort_keys=True)
        texts = {"about": about, "sha256": _sha256(arrays, about)}
        buffer = io.BytesIO()
        # Any: for mypy one of the names might be ``allow_pickle``.
        said: dict[str, Any] = {k: np.array(v) for k, v in texts.items()}
        np.savez(buffer, **arrays, **said)
        files.write_whole(pathlib.Path(path), buffer.getvalue())
        return buffer.getbuffer().nbytes

    def _about(self) -> dict[str, Any]:
        names = ("top", "left", "vertical_span", "digest", "model_name", "distance")
        about = {name: getattr(self, name) for name in names}
        if self.zooms:  # files of others are as they always were
            about["zooms"] = self.zooms
        return about | {"figures": {k: float(v) for k, v in self.figures.items()}}

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], bundle: bundle_lib.Bundle | None = None
    ) -> "Inversion":
        """Reads a file and checks it.

        Args:
          path: written by ``save``.
          bundle: checkpoint that it must have been made with, if any.

        Raises:
          ValueError: the file is missing, cut short, altered, too large, of another
            version or of another checkpoint.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise UserError(
                f"inversion ({path}) does not exist; make one with "
                "python -m infinitygan_jax.cli.invert"
            )
        try:
            inversion = cls(**_read(path))
        except Exception as error:  # zipfile and NumPy raise many kinds on bad bytes
            raise UserError(
                f"inversion ({path}) must be a whole {SUFFIX} file of format "
                f"{FORMAT!r}, and it is not ({one_line(error)}); copy it again, or "
                "invert again"
            ) from error
        if bundle is not None:
            try:
                inversion.check_model(bundle)
            except ValueError as error:
                raise UserError(f"{path}: {error}") from error
        return inversion


@functools.lru_cache(maxsize=8)
def _painter(
    model: ModelConfig, height: int, width: int
) -> Callable[..., UInt8[jax.Array, "b h w 3"]]:
    """The compiled painting of places of a size."""

    def paint_uint8(
        params: Mapping[str, Any], latents: Latents, here: jax.Array
    ) -> UInt8[jax.Array, "b h w 3"]:
        return to_uint8(paint(model, params, latents, here, height, width))

    return devices.jit_in_a_hurry(paint_uint8)  # once a picture


def _noise_name(index: int) -> str:
    return f"noise_{index:02d}"


def _sha256(arrays: Mapping[str, np.ndarray], about: str) -> str:
    total = hashlib.sha256(bundle_lib.digest_of(dict(arrays)).encode())
    total.update(about.encode())
    return total.hexdigest()


def _check_arrays(inversion: Inversion) -> None:
    """Checks shapes against each other and the geometry, and that all is finite."""
    num_slots, size = inversion.styles.shape
    height, width = inversion.image.shape[:2]
    if not (num_slots % 2 and 3 <= num_slots <= 2 * geometry.MAX_STAGES + 1):
        raise UserError(f"styles must be of 3, 5, ... 17 slots, not {num_slots}")
    for name in ("top", "left"):
        if abs(getattr(inversion, name)) > planning.POSITION_LIMIT:
            raise UserError(f"{name} must lie within -2**62 to 2**62")
    shapes = inversion.place.shapes(inversion.z_local.shape[-1])
    expected = {
        "z_global": (inversion.z_global, (size,)),
        "z_local": (inversion.z_local, shapes.z_local),
        "mask": (inversion.mask, (height, width)),
    }
    if len(inversion.noise) != len(shapes.noise):
        raise UserError(
            f"there must be {len(shapes.noise)} noise maps, not {len(inversion.noise)}"
        )
    for index, pair in enumerate(zip(inversion.noise, shapes.noise, strict=True)):
        expected[_noise_name(index)] = pair
    there = [each is not None for each in (inversion.finer_image, inversion.finer_mask)]
    if there != [bool(inversion.zooms)] * 2:
        raise UserError("finer_image, finer_mask and zooms must be there together")
    if inversion.finer is not None:
        if not 1 <= inversion.zooms <= planning.MAX_ZOOMS:
            raise UserError(f"zooms must be from 1 to {planning.MAX_ZOOMS}")
        sides = [-(-side >> inversion.zooms) for side in inversion.own_size]
        if sides != [height, width]:
            raise UserError(
                f"finer_image, seen from afar, must be of shape {(height, width)}, not "
                f"{tuple(sides)}"
            )
        expected["finer_mask"] = inversion.finer.mask, inversion.own_size
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise UserError(f"{name} must be of shape {shape}, not {array.shape}")
    floats = (inversion.styles, *(a for a, _ in expected.values() if a.dtype != bool))
    if not all(np.isfinite(array).all() for array in floats):
        raise UserError("all latents must be finite numbers")
    if not all(math.isfinite(value) for value in inversion.figures.values()):
        raise UserError("all figures must be finite numbers")


def _read(path: pathlib.Path) -> dict[str, Any]:
    """Fields of an Inversion; whatever is wrong raises."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    if sum(sizes.values()) > MAX_BYTES:
        raise UserError(f"it holds more than {MAX_BYTES} bytes")
    if any(sizes.get(f"{name}.npy", 0) > _MAX_TEXT for name in _TEXTS):
        raise UserError("its texts are too long")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about, digest = (arrays.pop(name).item() for name in _TEXTS)
    values = json.loads(about)
    if values.pop("format") != FORMAT:
        raise UserError(f"it says {json.loads(about)['format']!r}")
    if _sha256(arrays, about) != digest:
        raise UserError("its sha256 differs from the one that it names")
    noise = sorted(name for name in arrays if name.startswith("noise_"))
    values["noise"] = tuple(arrays.pop(name) for name in noise)
    _check_types(arrays, values)
    return {**arrays, **values}


def _check_types(arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
    """Checks names and types, which annotations say and Python does not hold."""
    kinds = {"image": (np.uint8, 3), "mask": (np.bool_, 2)}
    kinds |= {"z_global": (np.float32, 1), "styles": (np.float32, 2)}
    kinds |= {"z_local": (np.float32, 3)}
    if not arrays.keys().isdisjoint(_FINER):
        kinds |= {"finer_image": (np.uint8, 3), "finer_mask": (np.bool_, 2)}
    if arrays.keys() != kinds.keys():
        raise UserError(f"it must hold {', '.join(kinds)} and noise")
    pairs = [(arrays[name], *kind) for name, kind in kinds.items()]
    pairs += [(each, np.float32, 2) for each in values["noise"]]
    if any(array.dtype != kind or array.ndim != rank for array, kind, rank in pairs):
        raise UserError("an array is of another type or rank")
    if arrays["image"].shape[2] != 3:
        raise UserError("the image must have 3 channels")
    fields = {field.name: field.type for field in dataclasses.fields(Inversion)}
    for name, value in values.items():
        if name == "noise":
            continue
        kind = fields.get(name)
        if kind in (int, str) and type(value) is not kind:
            raise UserError(f"{name} must be of type {kind.__name__}")
    if type(values["vertical_span"]) not in (int, type(None)):
        raise UserError("vertical_span must be a whole number or null")
    if not all(type(value) is float for value in values["figures"].values()):
        raise UserError("figures must be numbers")
