"""How a script of any length, and its arguments, reach Windows PowerShell without being pasted into anything.

cmd.exe takes 8191 characters, so the command line holds a short script only. It reads Base64 from its
standard input, takes that for JSON, and runs what it finds there: text that is data until then is never
looked at by a parser of command lines or of PowerShell.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from importlib import resources

from collector.errors import PeerFailedError

MAX_ERROR = 2000
"""Characters of a remote message that a person is shown."""

_CLIXML = re.compile(r"#< CLIXML\s*(.*?</Objs>)", re.DOTALL)
_ERROR_TEXT = re.compile(r'<S S="Error">(.*?)</S>', re.DOTALL)
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def load(name: str) -> str:
    """The text of a script of this package."""
    text = resources.files("collector.adapters").joinpath("scripts", f"{name}.ps1").read_text("utf-8")
    return text.replace("\r\n", "\n")


BOOTSTRAP = load("bootstrap")
"""The script on the command line. -EncodedCommand is Base64 of UTF-16, little endian."""

COMMAND_LINE = (
    "powershell.exe -NoLogo -NoProfile -NonInteractive -InputFormat Text -OutputFormat Text "
    f"-EncodedCommand {base64.b64encode(BOOTSTRAP.encode('utf-16-le')).decode()}"
)
"""With -OutputFormat given, PowerShell writes errors as text; otherwise -EncodedCommand makes it CLIXML."""


def standard_input(script: str, arguments: Mapping[str, str]) -> bytes:
    """What `BOOTSTRAP` reads."""
    return base64.b64encode(json.dumps({"script": script, "arguments": dict(arguments)}).encode())


def plain_errors(raw: bytes) -> str:
    """An error stream as people read it: without CLIXML, progress records and control characters.

    CLIXML still comes where PowerShell itself could not start, or a child of it wrote to the stream. Its
    strings escape characters as `_xHHHH_` (MS-PSRP 2.2.5.3.2).
    """
    text = _CLIXML.sub(lambda found: _of_clixml(found[1]), raw.decode("utf-8", "replace"))
    return _CONTROL.sub("", text.replace("\r\n", "\n")).strip()


def answer_of(stdout: bytes) -> dict[str, object]:
    """The JSON object in the last line of what a script of ours wrote.

    Raises:
        PeerFailedError: there is none.
    """
    lines = stdout.decode("utf-8", "replace").splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError, RecursionError) as error:
        end = _CONTROL.sub("", " ".join(lines))[-200:]
        raise PeerFailedError(
            f"the script ended without its answer; what it wrote ends with {end!r}",
            hint="Run Windows PowerShell on the host by hand: does it start, without a prompt or an error?",
        ) from error
    if not isinstance(answer, dict):
        raise PeerFailedError(
            "the script's answer is no object", hint="Is powershell.exe there the real one?"
        )
    return answer


def _of_clixml(document: str) -> str:
    """Only the lines of errors; the document is hostile, so no XML parser is needed or used."""
    lines = (_unescaped(text) for text in _ERROR_TEXT.findall(document))
    return "".join(lines)


def _unescaped(text: str) -> str:
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    units = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
