"""Do it: the stages of one incident."""

from __future__ import annotations
