"""What hung it? From the text of a debugger to the end of the chain of waits."""

from __future__ import annotations
