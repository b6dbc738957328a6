"""The guest boots only when it is asked for: `pytest -m e2e`, which is what `make e2e` runs."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the end-to-end tests in a run that does not name their mark."""
    if "e2e" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason="boots a QEMU guest: run `make e2e`"))
