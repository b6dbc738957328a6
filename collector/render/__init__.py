"""Views of results; nothing outside this room and the command line prints."""

from __future__ import annotations
