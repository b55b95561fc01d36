"""``python -m pynn``: the same as the command ``pynn``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
