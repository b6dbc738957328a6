"""What makes a message of an SMB session ours or the server's: its signature, or that it is sealed.

smbprotocol 1.17 takes an answer without a signature, or in the clear on an encrypted session: here it is
refused. Section numbers are of [MS-SMB2].
"""

from __future__ import annotations

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from smbprotocol.connection import Ciphers, SigningAlgorithms
from smbprotocol.session import Session

from collector.adapters.buffers import Buffers
from collector.errors import PeerFailedError

SIGNING = (SigningAlgorithms.AES_GMAC, SigningAlgorithms.AES_CMAC)
"""Ways to sign that we offer, the fastest first."""

ENCRYPTION = (Ciphers.AES_128_GCM, Ciphers.AES_128_CCM, Ciphers.AES_256_GCM, Ciphers.AES_256_CCM)
"""Ciphers that we offer, the fastest first."""

TAG = 16  # bytes of a signature

_SIGNATURE = slice(48, 64)
"""Where in a message's header the signature is (section 2.2.1.2)."""

_TRANSFORM = struct.Struct("<4s16s16sI2xHQ")
"""Section 2.2.41: id, signature, nonce, size, flags, session."""

_SEALED = b"\xfdSMB"
_AUTHENTIC = 20  # where in the transform header that begins which the tag covers, too


class Keys:
    """The keys of a session that has just logged in.

    Args:
        session: it.
        cipher: how it encrypts, as negotiated; None before SMB 3.1.1.
        signing: how it signs, as negotiated; None before SMB 3.1.1.
        largest: bytes of the largest message that may come sealed.
    """

    def __init__(self, session: Session, cipher: int | None, signing: int | None, largest: int) -> None:
        self._session = int(session.session_id)
        self._signing_key = bytes(session.signing_key)
        self._galois = AESGCM(self._signing_key) if signing == SigningAlgorithms.AES_GMAC else None
        self.seals = bool(session.encrypt_data)
        """Whether everything is encrypted."""
        if self.seals:
            galois = cipher in (Ciphers.AES_128_GCM, Ciphers.AES_256_GCM)
            self._sealer, self._opener = (
                (AESGCM if galois else AESCCM)(key)
                for key in (session.encryption_key, session.decryption_key)
            )
            self._nonce = 12 if galois else 11
            self._opened = Buffers(largest)

    def sign(self, message: bytearray, number: int) -> None:
        """Sign a message of ours, whose signature is zeroes (section 3.1.4.1)."""
        message[_SIGNATURE] = self._signature(message, number, 0)

    def verify(self, message: memoryview, number: int, *, signed: bool) -> None:
        """Refuse a message in the clear that the server has not signed (section 3.2.5.1.3).

        Raises:
            PeerFailedError: it is not the server's.
        """
        if self.seals:
            raise _forged("came unencrypted on an encrypted session")
        if not signed:
            raise _forged("was not signed")
        signature = bytes(message[_SIGNATURE])
        message[_SIGNATURE] = bytes(TAG)
        if not hmac.compare_digest(self._signature(message, number, 1), signature):
            raise _forged("has a wrong signature")

    def seal(self, message: bytes | bytearray) -> bytes:
        """Encrypt a message of ours (section 3.1.4.3)."""
        nonce = os.urandom(self._nonce)
        head = _TRANSFORM.pack(_SEALED, b"", nonce, len(message), 1, self._session)
        sealed = self._sealer.encrypt(nonce, bytes(message), head[_AUTHENTIC:])
        return head[:4] + sealed[-TAG:] + head[_AUTHENTIC:] + sealed[:-TAG]

    def unseal(self, frame: memoryview) -> memoryview:
        """Decrypt a frame, with room for a tag behind it, into a buffer of ours (section 3.2.5.1.1).

        Raises:
            PeerFailedError: it is not the server's, or not for this session.
        """
        _, signature, nonce, size, flags, owner = _TRANSFORM.unpack_from(frame)
        sealed = len(frame) - TAG - _TRANSFORM.size
        if not self.seals or owner != self._session:
            raise _forged("is encrypted for another session")
        if flags != 1 or size != sealed:
            raise malformed("an encrypted packet of another size than it says")
        frame[-TAG:] = signature  # the library wants the tag behind the data
        opened = self._opened.take()[:sealed]
        try:
            self._opener.decrypt_into(
                nonce[: self._nonce],
                frame[_TRANSFORM.size :],
                bytes(frame[_AUTHENTIC : _TRANSFORM.size]),
                opened,
            )
        except InvalidTag:
            raise _forged("cannot be decrypted") from None
        return opened

    def _signature(self, message: bytearray | memoryview, number: int, role: int) -> bytes:
        """The signature of a message whose own is zeroed; `role` is 1 for the server's (section 3.1.4.1)."""
        if self._galois is not None:
            return self._galois.encrypt(struct.pack("<QI", number, role), b"", message)
        cmac = CMAC(AES(self._signing_key))
        cmac.update(bytes(message))
        return cmac.finalize()


def is_sealed(frame: memoryview) -> bool:
    """Whether a frame is encrypted."""
    return bytes(frame[:4]) == _SEALED


def malformed(what: str) -> PeerFailedError:
    """The error for an answer that no SMB server gives."""
    return PeerFailedError(
        f"the SMB server sent {what}", hint="Is it an SMB server? If so, do not trust this host's files."
    )


def _forged(what: str) -> PeerFailedError:
    return PeerFailedError(
        f"an answer of the SMB server {what}, and was refused",
        hint="Somebody between here and the host may alter what it sends: look at the network.",
    )
