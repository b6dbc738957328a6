"""What the user wrote: settings, their schema, and references to secrets."""

from __future__ import annotations
