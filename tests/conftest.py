"""What every test shares."""

from __future__ import annotations

import os

from hypothesis import settings

# Before anything imports numpy or torch, and for the processes that tests start: workers share the machine's cores, so
# no test takes them all, and sums come out the same on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("meritrec", deadline=None)
settings.load_profile("meritrec")
