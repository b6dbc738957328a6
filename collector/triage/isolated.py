"""Triage a vmcore in a process of its own: whatever a damaged dump does to the reader, the caller goes on.

The dump comes from a machine that crashed, and drgn is written in C.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import TypeAdapter

from collector.errors import CollectorError, DumpError
from collector.triage.summary import Summary, of_vmcore
from collector.triage.vmcore import triage_vmcore

_MOST_BYTES = 1 << 20  # of an answer


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    hint: str


_MESSAGE: TypeAdapter[Summary | _Failure] = TypeAdapter(Summary | _Failure)


def available() -> bool:
    """Whether the extra `linux-triage` is installed."""
    return find_spec("drgn") is not None


def summary_of(vmcore: Path, seconds: float) -> Summary:
    """Say what the dump tells of the hang, within `seconds`.

    Raises:
        DumpError: it tells nothing, or its reader failed or took too long.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, vmcore), daemon=True)
    try:
        child.start()
    except OSError as error:
        raise DumpError(
            f"no process can be started to read {vmcore.name}: {error.strerror}",
            hint="Free memory here; the dump can be read at any time: hang-collector triage.",
        ) from error
    there.close()
    limit = threading.Timer(seconds, child.kill)
    limit.start()
    try:
        raw = here.recv_bytes(_MOST_BYTES)
    except (EOFError, OSError) as error:
        raise DumpError(
            f"the reader of {vmcore.name} ended without an answer, or was stopped after {seconds:g} s",
            hint="Look at the dump by hand: hang-collector triage shows how far it comes.",
        ) from error
    finally:
        limit.cancel()
        child.kill()
        child.join()
        here.close()
    answer = _MESSAGE.validate_json(raw)
    if isinstance(answer, _Failure):
        raise DumpError(answer.message, hint=answer.hint)
    return answer


def _answer(out: Connection, vmcore: Path) -> None:
    """Run in the child: one message, the answer or the error."""
    try:
        answer: Summary | _Failure = of_vmcore(triage_vmcore(vmcore))
    except CollectorError as error:
        answer = _Failure(error.message, error.hint)
    with contextlib.closing(out):
        out.send_bytes(_MESSAGE.dump_json(answer))
