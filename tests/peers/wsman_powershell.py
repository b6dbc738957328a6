"""What cmd.exe and powershell.exe make of the command lines and the input that clients send.

There is no PowerShell here to run a script: a test says what comes of it. What is done as on Windows is the
way that leads there: the limit of the command line, the options, Base64 of UTF-16, standard input.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from collector.adapters.winrm_script import BOOTSTRAP

CMD_LIMIT = 8191
"""Characters of a command line that cmd.exe takes (Microsoft, KB830473)."""


@dataclass(frozen=True)
class Answer:
    """What becomes of a script. `after` is seconds until it ends; output before that stands in `early`."""

    exit_status: int = 0
    stdout: bytes = b""
    stderr: str = ""
    after: float = 0.0
    early: bytes = b""


Scripted = Callable[[str, Mapping[str, str]], Answer]
"""Script and arguments in, what becomes of them out."""


def program(line: str, *, skip_cmd: bool) -> Program:
    """What a command line starts."""
    if not skip_cmd and len(line) > CMD_LIMIT:
        return Program("", refusal="The command line is too long.\r\n")
    words = line.strip().strip('"').split()
    if not words or words[0].lower() not in ("powershell", "powershell.exe"):
        return Program(line)
    options = [word.lower() for word in words[1:]]
    encoded = [index for index, word in enumerate(options) if word and "-encodedcommand".startswith(word)]
    if not encoded:
        return Program(line)
    try:
        script = base64.b64decode(words[encoded[0] + 2], validate=True).decode("utf-16-le")
    except (ValueError, IndexError):
        return Program(
            "", refusal="Cannot process the command because the value is not properly encoded.\r\n"
        )
    after = dict(itertools.pairwise(options))
    return Program(script, objects_as_xml=after.get("-outputformat") != "text")


@dataclass(frozen=True)
class Program:
    """A started program. `refusal` is the message of one that did not start."""

    script: str
    refusal: str = ""
    objects_as_xml: bool = False

    @property
    def reads_input(self) -> bool:
        """Whether it runs only once its standard input has ended."""
        return "$input" in self.script

    def run(self, stdin: bytes, scripted: Scripted) -> tuple[Answer, bytes, tuple[str, Mapping[str, str]]]:
        """The answer, the bytes of its error stream, and the script and arguments that ran."""
        if self.refusal:
            return Answer(1), self.refusal.encode(), ("", {})
        script, arguments = _handed_over(stdin) if self.script == BOOTSTRAP else (self.script, {})
        answer = scripted(script, arguments)
        return answer, self._errors(answer.stderr), (script, arguments)

    def _errors(self, text: str) -> bytes:
        """powershell.exe writes errors as CLIXML when -EncodedCommand is used without -OutputFormat."""
        if not text or not self.objects_as_xml:
            return text.encode()
        lines = "".join(f'<S S="Error">{escape(line)}_x000D__x000A_</S>' for line in text.splitlines())
        space = "http://schemas.microsoft.com/powershell/2004/04"
        return f'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="{space}">{lines}</Objs>'.encode()


def _handed_over(stdin: bytes) -> tuple[str, Mapping[str, str]]:
    """What our first script does with its input: everything but Base64 is dropped, the rest is JSON."""
    called = json.loads(base64.b64decode(re.sub(rb"[^A-Za-z0-9+/=]", b"", stdin), validate=True))
    return called["script"], called["arguments"]
