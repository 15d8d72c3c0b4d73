"""Commands, one thin file each: they parse, call the library, and report.

Each has a ``main(argv=None)`` under ``errors.exit_on_error``, so that a mistake is one
line and exit status 2.
"""
