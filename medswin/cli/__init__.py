"""The commands: one file each, thin, and slow to import nothing.

A command module imports only typer at its top; what it runs is imported when it runs, so that ``medswin --help``
answers at once. Commands raise `medswin.errors.MedswinError` for what the user can repair and end with
``typer.Exit(status)``; `medswin.cli.app` turns everything else into one line.
"""
