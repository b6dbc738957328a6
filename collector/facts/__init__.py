"""What is configured? Read-only gatherers."""

from __future__ import annotations
