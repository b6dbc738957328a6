"""From a TCP connection to a session and its shares: negotiate, log in once, connect trees.

Nothing of the credential is sent before the server has agreed to SMB 3 and, if wanted, to encryption. NTLM
and Kerberos are never tried one after the other: that would count twice against the account.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator

from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from collector.adapters import kerberos
from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.smb_connection import Connection, ended
from collector.adapters.smb_files import Share
from collector.adapters.smb_keys import malformed
from collector.adapters.smb_status import failed_login, refused_share
from collector.errors import (
    AdapterError,
    LoginRefusedError,
    MissingExtraError,
    PeerFailedError,
    UnsupportedError,
)

_NOT_SUPPORTED = 0xC00000BB
"""STATUS_NOT_SUPPORTED, what a server without SMB 3 answers."""


def log_in(
    sock: socket.socket,
    address: str,
    user: str,
    password: str | None,
    deadline: Deadline,
    *,
    kerberos: bool,
    encrypt: bool,
) -> tuple[Connection, Session]:
    """Log in over a connected socket, which the connection owns from then on.

    Raises:
        UnsupportedError: no SMB 3 there, or no encryption; no credential was sent.
        LoginRefusedError: it said no, or made us a guest.
        AdapterError: everything else.
    """
    connection = Connection(sock, address, Patience("SMB", deadline))
    with _understood(_not_negotiated):
        connection.negotiate()
    if encrypt and not connection.supports_encryption:
        raise UnsupportedError(
            "the SMB server does not encrypt",
            hint="Set `encrypt: false` for this endpoint to have everything signed only.",
        )
    session = Session(
        connection,
        user,
        password,
        require_encryption=encrypt,
        auth_protocol="kerberos" if kerberos else "ntlm",
    )
    with _understood(failed_login):
        try:
            with _kerberos_understood(address):
                session.connect()
        except ImportError as error:
            raise MissingExtraError(
                "Kerberos needs packages that are not installed",
                hint="pip install 'hang-collector[windows-kerberos]'",
            ) from error
        except SMBAuthenticationError as error:
            raise LoginRefusedError(
                "the login over SMB failed on this side: no ticket, or an answer that does not fit",
                hint="For Kerberos: `kinit`, and the host's full name as address. It was tried once.",
            ) from error
        except SMBResponseException:
            raise
        except SMBException as error:  # after the login was let in, as a guest or without a valid signature
            raise LoginRefusedError(
                "the SMB server let us in without proving who it is: as a guest, or with a wrong signature",
                hint="The user name may be unknown there (`map to guest`), or somebody stands between.",
            ) from error
    session.password = None  # it has served
    connection.secure(session)
    return connection, session


@contextlib.contextmanager
def _kerberos_understood(address: str) -> Iterator[None]:
    """Say what is wrong with a ticket, or a password at the KDC: smbprotocol hands it on as it is."""
    try:
        yield
    except Exception as error:
        told = kerberos.error_of(error, f"smb://{address}")
        if told is None:
            raise
        raise told from error


def open_share(connection: Connection, session: Session, name: str) -> Share:
    """Connect to the share `name`, and make sure that nobody weakened the negotiation (section 3.2.5.5).

    Raises:
        UnsupportedError: there is no such share.
        ForbiddenError: this account may not open it.
        AdapterError: everything else.
    """
    tree = TreeConnect(session, rf"\\{connection.server_name}\{name}")
    with _understood(lambda status: refused_share(status, name)):
        tree.connect()
    return Share(connection, tree)


def _not_negotiated(status: int) -> AdapterError:
    if status == _NOT_SUPPORTED:
        return UnsupportedError(
            "the SMB server speaks no SMB 3",
            hint="Windows 8 and Windows Server 2012 were the first; use SFTP.",
        )
    return PeerFailedError(
        f"the SMB server does not negotiate (0x{status:08X})", hint="Look at the host's event log."
    )


@contextlib.contextmanager
def _understood(refusal: Callable[[int], AdapterError]) -> Iterator[None]:
    """Turn what smbprotocol raises into our errors; it unpacks what came without looking."""
    try:
        yield
    except SMBResponseException as error:
        raise refusal(error.status) from error
    except SMBConnectionClosed as error:
        raise ended() from error
    except SMBException as error:
        raise PeerFailedError(
            "the SMB server's answers do not fit together, and were refused",
            hint="Somebody between here and the host may alter what it sends: look at the network.",
        ) from error
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, struct.error) as error:
        raise malformed("an answer that cannot be read") from error
