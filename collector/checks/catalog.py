"""Every check: what it asks, why that matters, what to do, and where the rule comes from.

The rules themselves are the functions in the modules beside this one; `audit.py` puts both together. The
commands are shell lines for root, on Windows PowerShell for an administrator. They are printed, and never run
by this program.
"""

from __future__ import annotations

from collections.abc import Mapping

from collector.checks import catalog_esxi as esxi
from collector.checks import catalog_windows as windows
from collector.checks.catalog_dump import CAPTURE, FETCH, FITS
from collector.checks.catalog_nmi import CRASH, TRIGGER
from collector.checks.catalog_survival import SURVIVES
from collector.checks.check import Check

CHECKS: Mapping[str, Check] = {
    check.id: check
    for check in (
        *TRIGGER,
        *CRASH,
        *windows.CRASH,
        *esxi.CRASH,
        *CAPTURE,
        *windows.CAPTURE,
        *esxi.CAPTURE,
        *FITS,
        *windows.FITS,
        *esxi.FITS,
        *SURVIVES,
        *windows.SURVIVES,
        *esxi.SURVIVES,
        *FETCH,
        *windows.FETCH,
    )
}
"""All checks by id, in the order of the chain."""
