"""`python -m server_training` is `meritrec-server`; torchrun starts it this way."""

import sys

from server_training.cli import main

sys.exit(main())
