"""``python -m modelcellar_cli`` is the ``cellar`` command."""

import sys

from modelcellar_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
