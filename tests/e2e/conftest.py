"""The guest boots only when it is asked for: `pytest -m e2e`, which is what `make e2e` runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab import GuestLab, guest_lab


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the end-to-end tests in a run that does not name their mark."""
    if "e2e" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason="boots a QEMU guest: run `make e2e`"))


@pytest.fixture(scope="session")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestLab]:
    with guest_lab(tmp_path_factory.mktemp("guest")) as lab:
        yield lab


@pytest.fixture
def lab(booted: GuestLab) -> Iterator[GuestLab]:
    """The guest, responsive before each test and reset after one that left it hung."""
    booted.wait_ready()
    yield booted
    if booted.ssh_reach() != "banner":
        booted.reset()
