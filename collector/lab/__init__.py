"""The embedded lab that `demo` runs on loopback; only the command line imports it."""

from __future__ import annotations
