"""``python -m lull`` is the command ``lull``."""

import sys

from lull.cli import main

sys.exit(main())
