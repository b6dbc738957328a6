"""Everything that an audit asks a controller: each fact has its value or its reason, and nothing is sent."""

from __future__ import annotations

import pytest

from collector.adapters.limits import Deadline
from collector.facts.controller import NAMES, gather
from tests.contract.controllers import ADAPTERS, RIGS, Trouble


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_facts_of_a_controller_are_whole_and_cost_nothing(adapter: str) -> None:
    with RIGS[adapter](Trouble.NONE) as rig:
        facts = gather(rig.controller, adapter, Deadline.after(60.0))
        assert set(facts) == set(NAMES)
        assert all((fact.value is None) == bool(fact.missing) for fact in facts.values())
        assert rig.arrived() == 0


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_controller_that_is_asked_too_late_leaves_reasons(adapter: str) -> None:
    with RIGS[adapter](Trouble.NONE) as rig:
        facts = gather(rig.controller, adapter, Deadline.after(0.0))
        assert set(facts) == set(NAMES)
        assert rig.arrived() == 0
