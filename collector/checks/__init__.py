"""Would it dump? Pure functions from facts to verdicts."""

from __future__ import annotations
