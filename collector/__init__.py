"""Collect the evidence from a hung server: prove the hang, send one NMI, bring the dump home."""

from __future__ import annotations

__version__ = "0.1.0"
