"""``python -m har`` is the command `har`."""

import sys

from har.cli import main

sys.exit(main())
