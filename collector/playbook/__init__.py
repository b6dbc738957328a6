"""What to do, in which order."""

from __future__ import annotations
