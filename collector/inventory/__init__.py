"""Which hosts there are, and how each one is reached."""

from __future__ import annotations
