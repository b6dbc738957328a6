"""How we talk to machines: controllers from outside, channels into the host."""

from __future__ import annotations
