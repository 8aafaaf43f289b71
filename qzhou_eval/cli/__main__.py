"""``python -m qzhou_eval.cli``."""

import sys

from qzhou_eval.cli import main

sys.exit(main())
