"""One file per trained model; ``get_config()`` gives its settings."""
