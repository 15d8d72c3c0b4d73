"""Trains a model; see ``infinitygan_jax/cli/train.py``."""

from infinitygan_jax.cli.train import main

if __name__ == "__main__":
    main()
