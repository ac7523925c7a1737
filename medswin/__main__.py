"""``python -m medswin``: the same as the ``medswin`` command."""

from medswin.cli.app import main

if __name__ == "__main__":
    main()
