"""SMB with somebody between us and Samba's smbd: nothing that is not the server's own is believed."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from collector.errors import AdapterError, PeerFailedError
from tests.peers.samba import drive
from tests.peers.smb_between import Change, between
from tests.peers.test_smb import DUMP, host, opened, read

__all__ = ["host"]

HEADER = 4  # the length of the frame
FLAGS, SIGNATURE, DATA = HEADER + 16, slice(HEADER + 48, HEADER + 64), HEADER + 80
READ = b"\x08\x00"
SIGNED = 0x08


def in_read(frame: bytes) -> bool:
    """Whether it carries a piece of the file; an interim answer, from a slow server, carries none."""
    plain = frame[HEADER : HEADER + 4] == b"\xfeSMB"
    return plain and frame[HEADER + 12 : HEADER + 14] == READ and len(frame) > 1000


def other_bytes(_: int, frame: bytes) -> bytes:
    return frame[:DATA] + b"forged" + frame[DATA + 6 :] if in_read(frame) else frame


def without_signature(number: int, frame: bytes) -> bytes:
    if not in_read(frame):
        return frame
    changed = bytearray(other_bytes(number, frame))
    changed[FLAGS] &= ~SIGNED
    changed[SIGNATURE] = bytes(16)
    return bytes(changed)


def other_cipher_text(_: int, frame: bytes) -> bytes:
    return frame[:-6] + b"forged" if len(frame) > 100_000 else frame


def in_the_clear(number: int, frame: bytes) -> bytes:
    """The first encrypted answer, that to the tree connect, as a forger would write it."""
    if not frame[HEADER:].startswith(b"\xfdSMB"):
        return frame
    header = b"\xfeSMB" + (64).to_bytes(2, "little") + bytes(6) + (3).to_bytes(2, "little") + b"\x01\x00"
    header += (1).to_bytes(4, "little") + bytes(4) + number.to_bytes(8, "little")
    body = (16).to_bytes(2, "little") + b"\x01" + bytes(13)
    message = header.ljust(64, b"\0") + body
    return len(message).to_bytes(4, "big") + message


def giant(number: int, frame: bytes) -> bytes:
    return b"\xff\xff\xff\xff" + frame[4:] if number == 4 else frame


@pytest.mark.parametrize(
    ("encrypt", "change", "said"),
    [
        (False, other_bytes, "wrong signature"),
        (False, without_signature, "not signed"),
        (True, other_cipher_text, "cannot be decrypted"),
        (True, in_the_clear, "unencrypted"),
        (True, giant, "a packet of 4294967295 bytes"),
    ],
)
def test_a_forged_answer_is_refused(
    host: Path, tmp_path: Path, change: Change, said: str, *, encrypt: bool
) -> None:
    with (
        drive(tmp_path / "smb", host) as server,
        between(server.port, change) as port,
        pytest.raises(PeerFailedError, match=said),
        opened(server, port=port, encrypt=encrypt) as entered,
    ):
        read(entered)


def test_the_one_between_who_changes_nothing_is_not_noticed(host: Path, tmp_path: Path) -> None:
    with (
        drive(tmp_path / "smb", host) as server,
        between(server.port, lambda _, frame: frame) as port,
        opened(server, port=port) as entered,
    ):
        assert read(entered) == DUMP


@pytest.mark.parametrize("encrypt", [True, False])
def test_no_byte_that_is_changed_anywhere_gets_another_file_home(
    host: Path, tmp_path: Path, *, encrypt: bool
) -> None:
    """In the negotiation, the login, the opening and the data: an error of ours, or the right bytes."""
    rng = random.Random(5)
    with drive(tmp_path / "smb", host) as server:
        for which in [*range(6)] * 6:

            def change(number: int, frame: bytes, which: int = which) -> bytes:
                if number != which:
                    return frame
                changed = bytearray(frame)
                changed[rng.randrange(4, min(len(changed), 250))] ^= 1 << rng.randrange(8)
                return bytes(changed)

            with (
                between(server.port, change) as port,
                contextlib.suppress(AdapterError, FileNotFoundError),
                opened(server, port=port, encrypt=encrypt, deadline=5.0) as entered,
            ):
                assert read(entered, stall=5.0) == DUMP
