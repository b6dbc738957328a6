"""Where the evidence is: one incident's folder."""

from __future__ import annotations
