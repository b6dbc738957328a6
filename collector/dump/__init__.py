"""Is the dump whole? Header readers, one format a file."""

from __future__ import annotations
