"""Many hosts: ask them all, whatever some of them do, and remember what they said."""

from __future__ import annotations
