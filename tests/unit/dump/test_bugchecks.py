"""What a bug check means is said in words that an operator can act on, and never guessed."""

from __future__ import annotations

import pytest

from collector.dump.bugchecks import BUG_CHECKS, NMI, NMI_ARGUMENT, explain


@pytest.mark.parametrize(
    ("code", "parameters", "written", "word"),
    [
        (NMI, (NMI_ARGUMENT, 0, 0, 0), "0x80", "from the button, the BMC or the hypervisor"),
        (0xE2, (0, 0, 0, 0), "0xe2", "somebody asked for it"),
        (0x1C8, (0, 0, 0, 0), "0x1c8", "held the power button"),
        (0x161, (0, 0, 0, 0), "0x161", "ran on"),
        (0x133, (0, 501, 500, 0), "0x133", "by one DPC"),
        (0x133, (1, 7680, 0, 0), "0x133", "by all its DPCs"),
        (0x7F, (8, 0, 0, 0), "0x7f", "double fault"),
        (0, (0, 0, 0, 0), "0x0", "did not stop"),
        (0xDEADDEAD, (0, 0, 0, 0), "0xdeaddead", "by a program"),
        (0x1000007F, (8, 0, 0, 0), "0x7f", "double fault"),
        (0x1000007E, (0, 0, 0, 0), "0x7e", "Microsoft's reference"),
        (0xFFFFFFFF, (), "0xefffffff", "Microsoft's reference"),
    ],
)
def test_a_bug_check_is_explained(code: int, parameters: tuple[int, ...], written: str, word: str) -> None:
    cause = explain(code, parameters)
    assert cause.code == written
    assert word in cause.meaning
    assert cause.nmi == (code == NMI)


def test_an_nmi_with_another_argument_is_not_called_one_from_the_button() -> None:
    assert "button" not in explain(NMI, (1, 0, 0, 0)).meaning


def test_a_value_that_is_not_explained_adds_nothing() -> None:
    for code, known in BUG_CHECKS.items():
        assert explain(code, (0x1234567, 0, 0, 0)).meaning == f"{known.name}: {known.meaning}"
