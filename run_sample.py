"""Paints any rectangle of an infinite picture into a file; see ``--help``."""

from infinitygan_jax.cli import errors


@errors.exit_on_error
def main() -> None:
    """Runs the command, which is imported where an interrupt is one line."""
    from infinitygan_jax.cli import sample

    sample.main()


if __name__ == "__main__":
    errors.run(main)
