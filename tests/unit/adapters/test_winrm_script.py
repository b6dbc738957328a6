from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.winrm_script import BOOTSTRAP, COMMAND_LINE, answer_of, plain_errors, standard_input
from collector.errors import PeerFailedError

CMD_LIMIT = 8191
HEAD = '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
PROGRESS = '<Obj S="progress" RefId="0"><MS><S N="Activity">Module werden geladen</S></MS></Obj>'


def test_the_command_line_is_far_below_the_limit_of_cmd() -> None:
    assert len(COMMAND_LINE) < CMD_LIMIT // 2


def test_the_command_line_holds_the_first_script_and_no_other() -> None:
    encoded = COMMAND_LINE.rpartition(" ")[2]
    assert base64.b64decode(encoded).decode("utf-16-le") == BOOTSTRAP
    assert not set(COMMAND_LINE) & set("%&|<>^\"'`$\r\n")


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_whatever_is_handed_over_is_base64_of_json(script: str, arguments: dict[str, str]) -> None:
    sent = json.loads(base64.b64decode(standard_input(script, arguments), validate=True))
    assert sent == {"script": script, "arguments": arguments}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("The term is not recognized.\r\n", "The term is not recognized."),
        (f"{HEAD}{PROGRESS}</Objs>", ""),
        (f'{HEAD}<S S="Error">eins_x000D__x000A_</S><S S="Error">zwei</S></Objs>', "eins\nzwei"),
        (f'{HEAD}<S S="warning">mind</S><S S="Error">a &lt;b&gt; &amp;lt;</S></Objs>', "a <b> &lt;"),
        (f'{HEAD}<S S="Error">_x2014_ _x005F_x0041_ _xD83D__xDCA5_ _xD83D_</S></Objs>', "— _x0041_ 💥 �"),
        (f'before {HEAD}{PROGRESS}</Objs>\r\n{HEAD}<S S="Error">two</S></Objs> after', "before \ntwo after"),
        (f"{HEAD}<S S=", f"{HEAD}<S S=".replace("\r\n", "\n")),
        ("\x1b[2J\x00red", "[2Jred"),
    ],
    ids=["none", "text", "progress", "lines", "other-streams", "escapes", "two", "cut", "control"],
)  # fmt: skip
def test_errors_are_read_as_people_read_them(raw: str, text: str) -> None:
    assert plain_errors(raw.encode()) == text


@given(st.binary())
def test_no_bytes_of_a_host_break_the_reader(raw: bytes) -> None:
    plain_errors(raw)
    plain_errors(f'{HEAD}<S S="Error">'.encode() + raw + b"</S></Objs>")


def test_an_answer_is_the_last_line() -> None:
    assert answer_of(b'noise\r\n{"state": "Running"}\r\n') == {"state": "Running"}


@pytest.mark.parametrize("stdout", [b"", b"\r\n", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a": 1}\r\nEnd'])
def test_what_is_no_answer_is_an_error(stdout: bytes) -> None:
    with pytest.raises(PeerFailedError):
        answer_of(stdout)
