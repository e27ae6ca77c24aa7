"""Lets `python -m hybrid_control` run the command line."""

import sys

from hybrid_control.cli import main

sys.exit(main())
