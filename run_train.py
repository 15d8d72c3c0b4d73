"""Trains a model; see ``infinitygan_jax/cli/train.py``."""

from infinitygan_jax.cli import errors


@errors.exit_on_error
def main() -> None:
    """Runs the command, which is imported where an interrupt is one line."""
    from infinitygan_jax.cli import train

    train.main()


if __name__ == "__main__":
    errors.run(main)
