"""`python -m clustersim` is the command `clustersim`."""

import sys

from clustersim.cli import main as run


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
