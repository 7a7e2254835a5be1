"""``python -m cozeloop_magic``: the same as ``cozeloop-magic``."""

import sys

from cozeloop_magic.cli.commands import main

sys.exit(main())
