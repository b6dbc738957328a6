"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No test measures time: a machine that is busy with something else fails nothing.
settings.register_profile("without a clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("without a clock")

# No test asks the KDC that this machine is set up for, or takes a ticket that somebody has here.
os.environ["KRB5_CONFIG"] = os.devnull
os.environ["KRB5CCNAME"] = f"FILE:{os.devnull}/none"
