"""Frozen data that every room shares; no I/O."""

from __future__ import annotations
