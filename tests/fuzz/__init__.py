"""Coverage-guided fuzz targets, to be run by hand; no test collects them."""

from __future__ import annotations
