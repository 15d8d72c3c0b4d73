"""Paints any rectangle of an infinite picture into a file; see ``--help``."""

from infinitygan_jax.cli.sample import main

if __name__ == "__main__":
    main()
