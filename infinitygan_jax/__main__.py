"""``python -m infinitygan_jax VERB ...``, and the program ``infinitygan``."""

from infinitygan_jax.cli import errors


def main() -> None:
    """Runs the command that the command line names."""
    errors.run(_command)


def _command() -> None:
    # Imported where an interrupt is one line.
    from infinitygan_jax.cli import verbs

    verbs.main()


if __name__ == "__main__":
    main()
