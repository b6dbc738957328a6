"""Is it hung? One protocol a file."""

from __future__ import annotations
