"""Installation of infinitygan_jax; what it is and needs, pyproject.toml says."""

import setuptools

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["infinitygan_jax", "infinitygan_jax.*"]),
        # The settings of the project's own models, for who has only a wheel.
        "infinitygan_jax.configs",
    ],
    package_dir={"infinitygan_jax.configs": "configs"},
)
