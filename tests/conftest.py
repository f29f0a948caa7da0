"""Settings that all tests share."""

from __future__ import annotations

import os
import tempfile

# The caches of tests never touch those of the user, and parallel test processes share one.
os.environ.setdefault("CSP_EXPLORER_CACHE", os.path.join(tempfile.gettempdir(), "csp-explorer-test-cache"))
# One thread a process: small tensors gain nothing from more, and pytest-xdist runs several processes.
os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck)
)
settings.load_profile("default")
