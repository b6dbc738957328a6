from __future__ import annotations

import pytest

from collector.triage.advisories import matching, shipped
from tests.unit.triage.test_patterns import ends_in, read


@pytest.mark.parametrize(
    ("module", "windows", "found"),
    [
        ("storport.sys", "Windows Server 2003 Kernel Version 3790 (Service Pack 2) MP", True),
        ("STORPORT", "", True),
        ("storport", "Windows Server 2019 Kernel Version 17763 MP", False),
        ("ocnd64", "Windows Server 2019 Kernel Version 17763 MP", True),
        ("disk", "Windows Server 2003 Kernel Version 3790", False),
    ],
)
def test_an_advisory_is_found_by_module_and_version_of_windows(
    module: str, windows: str, found: bool
) -> None:
    assert bool(matching([module], windows)) is found


def test_every_advisory_says_what_of_which_version_and_where_it_is_written() -> None:
    for one in shipped():
        assert one.title
        assert one.modules
        assert one.version
        assert one.source


def test_the_driver_at_the_end_of_a_chain_is_looked_up() -> None:
    (advisory,) = ends_in("ocnd64!Reset", "nt!IofCallDriver", "nt!NtReadFile").advisories
    assert (advisory.module, advisory.source) == ("ocnd64", "HPE customer advisory a00005104")


def test_a_log_without_a_chain_is_told_of_none() -> None:
    assert (
        read(
            "0: kd> lm\nstart    end        module name\n80000000 80100000   storport (deferred)\n"
        ).advisories
        == ()
    )
