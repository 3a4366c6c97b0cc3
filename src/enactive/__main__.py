"""``python -m enactive``: the command line, for launchers that start modules."""

import sys

from enactive.cli import main

if __name__ == "__main__":
    sys.exit(main())
