"""`python -m sarl_training` is `sarl-train`."""

import sys

from sarl_training.cli import main

sys.exit(main())
