"""Files over SMB against Samba's smbd: what it lets in, and what a copy lives through."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.base import Files
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.smb import SmbChannel, SmbEndpoint
from collector.adapters.smb_connection import CHUNK
from collector.adapters.smb_files import DEPTH
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    InventoryError,
    LoginRefusedError,
    MissingExtraError,
    NotTriedError,
    UnreachableError,
    UnsupportedError,
)
from collector.model.host import Credential, Host, Platform, SecretRef
from tests.peers import kdc as kdc_of
from tests.peers.samba import Smbd, drive, smb_login
from tests.peers.server import free_port, tool
from tests.peers.sshd import descendants, stopped
from tests.peers.tcp_proxy import proxy

DUMP = os.urandom(CHUNK * 3 + 12_345)
PATH = "/C:/Windows/MEMORY.DMP"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Drive C: of a host that has dumped."""
    (tmp_path / "c" / "Windows").mkdir(parents=True)
    (tmp_path / "c" / "Windows" / "MEMORY.DMP").write_bytes(DUMP)
    return tmp_path / "c"


def soon() -> Deadline:
    return Deadline.after(30)


def channel(
    server: Smbd, *, user: str | None = None, password: str | None = None, deadline: float = 30.0, **keys: Any
) -> SmbChannel:
    endpoint = SmbEndpoint(**{"address": "127.0.0.1", "port": server.port, **keys})
    return SmbChannel(endpoint, smb_login(server, user, password), Deadline.after(deadline))


@contextlib.contextmanager
def opened(server: Smbd, **keys: Any) -> Iterator[SmbChannel]:
    with channel(server, **keys) as entered:
        yield entered


def read(entered: SmbChannel, offset: int = 0, stall: float = 30.0) -> bytes:
    return b"".join(entered.read(PATH, offset, stall))


def open_files(server: Smbd) -> list[str]:
    folders = (Path(f"/proc/{pid}/fd") for pid in descendants(server.pid))
    return [str(link.readlink()) for folder in folders for link in folder.iterdir() if link.is_symlink()]


def audit(server: Smbd, status: str) -> int:
    """How often the server's log has a login that ended so."""
    return server.log.read_text(errors="replace").count(f"status [{status}]")


# --- who is let in, and how it is protected ------------------------------------------------------------


@pytest.mark.parametrize("encrypt", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        ("server min protocol = SMB3_00", "server max protocol = SMB3_00"),
        ("server max protocol = SMB3_02",),
        ("server signing = mandatory",),
        ("server smb encrypt = required",),
    ],
    ids=["3.0", "3.0.2", "signing", "encryption"],
)
def test_a_file_arrives_by_every_dialect_and_protection(
    host: Path, tmp_path: Path, settings: tuple[str, ...], *, encrypt: bool
) -> None:
    with drive(tmp_path / "smb", host, *settings) as server, opened(server, encrypt=encrypt) as entered:
        assert read(entered, 7) == DUMP[7:]


def test_nothing_of_a_dump_can_be_read_on_its_way_unless_it_is_asked_for(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host) as server:
        for encrypt in (True, False):
            with opened(server, encrypt=encrypt) as entered:
                assert entered._session is not None
                assert entered._session.encrypt_data is encrypt


def test_a_wrong_password_is_tried_once(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host) as server:
        with pytest.raises(LoginRefusedError, match="wrong user name or password") as raised:
            channel(server, password="wrong horse").__enter__()
        assert audit(server, "NT_STATUS_WRONG_PASSWORD") == 1
        assert "horse" not in repr(raised.value) + str(raised.value)


def test_a_domain_host_that_finds_no_controller_yet_is_asked_again(host: Path, tmp_path: Path) -> None:
    """So Windows answers for some time after a boot: nobody has looked at the password."""
    with drive(tmp_path / "smb", host, "security = domain", "workgroup = CORP") as server:
        endpoint = SmbEndpoint(address="127.0.0.1", port=server.port, credential="win")
        connections = Connections({"win": smb_login(server, r"CORP\svc")}, print)
        sql01 = Host("sql01", Platform.WINDOWS, "127.0.0.1", channels=(endpoint,))
        for _ in range(2):
            with (
                pytest.raises(NotTriedError, match="no domain controller answers the host"),
                connections.open(sql01, endpoint, Files, soon()),
            ):
                pass
        assert audit(server, "NT_STATUS_NO_LOGON_SERVERS") == 2


def test_a_guest_is_not_let_in_by_us(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host, "map to guest = Bad User") as server:
        for encrypt in (True, False):
            with pytest.raises(LoginRefusedError, match="guest"):
                channel(server, user="nobody-here", encrypt=encrypt).__enter__()
        assert audit(server, "NT_STATUS_NO_SUCH_USER") == 2


def test_a_server_that_cannot_encrypt_gets_no_login(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host, "server smb encrypt = off") as server:
        with pytest.raises(UnsupportedError, match="does not encrypt") as raised:
            channel(server).__enter__()
        assert "encrypt: false" in raised.value.hint
        with opened(server, encrypt=False) as entered:
            assert read(entered) == DUMP
        assert audit(server, "NT_STATUS_OK") == 1


@pytest.mark.parametrize("newest", ["SMB2_10", "NT1"])
def test_a_server_without_smb_3_gets_no_login(host: Path, tmp_path: Path, newest: str) -> None:
    settings = ("server min protocol = NT1", f"server max protocol = {newest}")
    with drive(tmp_path / "smb", host, *settings) as server:
        with pytest.raises(AdapterError) as raised:
            channel(server).__enter__()
        assert not isinstance(raised.value, LoginRefusedError)
        assert audit(server, "NT_STATUS_OK") == 0


def test_kerberos_does_not_fall_back_to_a_password_over_ntlm(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host) as server:
        with pytest.raises((MissingExtraError, LoginRefusedError, UnreachableError)):
            channel(server, auth="kerberos").__enter__()
        assert audit(server, "NT_STATUS_OK") == 0


@pytest.mark.parametrize(
    ("password", "said"),
    [
        (None, (NotTriedError, "kinit")),
        ("wrong", (LoginRefusedError, "kinit")),
        (kdc_of.PASSWORD, (NotTriedError, "no IP address")),
    ],
)
def test_what_kerberos_says_is_told(
    host: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
    said: tuple[type[AdapterError], str],
) -> None:
    kind, hint = said
    with kdc_of.kdc(tmp_path) as realm, drive(tmp_path / "smb", host) as server:
        for name, value in realm.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KDC_PASSWORD", password or "")
        secret = SecretRef("env", "KDC_PASSWORD", Path()) if password else None
        login = Credential("win", username=f"{kdc_of.USER}@{kdc_of.REALM}", password=secret)
        endpoint = SmbEndpoint(address="127.0.0.1", port=server.port, auth="kerberos")
        with pytest.raises(AdapterError) as raised:
            SmbChannel(endpoint, login, soon()).__enter__()
        assert type(raised.value) is kind
        assert hint in raised.value.hint
        assert realm.log.count("PREAUTH_FAILED") == (password == "wrong")
        assert audit(server, "NT_STATUS_OK") == 0


def test_a_login_needs_a_password(host: Path, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="needs a credential"):
        SmbChannel(SmbEndpoint(address="127.0.0.1"), Credential("win", username="x"), soon()).__enter__()


def test_nobody_there_is_unreachable() -> None:
    login = Credential("win", username="x", password=SecretRef("env", "PATH", Path()))
    with pytest.raises(UnreachableError, match="no TCP connection"):
        SmbChannel(SmbEndpoint(address="127.0.0.1", port=free_port()), login, soon()).__enter__()


# --- paths and refusals --------------------------------------------------------------------------------


def test_a_drive_may_be_another_share(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host, name="dumps") as server:
        with opened(server, shares={"C:": "dumps"}) as entered:
            assert read(entered) == DUMP
        with opened(server) as entered:
            assert entered.stat("/dumps/Windows/MEMORY.DMP", soon()).size == len(DUMP)
            with pytest.raises(UnsupportedError, match=r"no share 'C\$'"):
                entered.stat(PATH, soon())


def test_a_file_that_the_account_may_not_read_is_said_to_be_forbidden(host: Path, tmp_path: Path) -> None:
    (host / "Windows" / "MEMORY.DMP").chmod(0)
    other = ("force user = nobody",) if os.geteuid() == 0 else ()  # root may read everything
    with (
        drive(tmp_path / "smb", host, *other) as server,
        opened(server) as entered,
        pytest.raises(ForbiddenError, match="may not read"),
    ):
        read(entered)


def test_a_share_of_others_is_forbidden_and_the_connection_stays_usable(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host, "valid users = nobody-here") as server, opened(server) as entered:
        for _ in range(2):
            with pytest.raises(ForbiddenError, match="may not open the share"):
                entered.stat(PATH, soon())


def test_a_large_folder_is_listed_whole(host: Path, tmp_path: Path) -> None:
    names = {f"{number:05d}" for number in range(3_000)}
    (host / "many").mkdir()
    for name in names:
        (host / "many" / name).touch()
    with drive(tmp_path / "smb", host) as server, opened(server) as entered:
        assert {Path(file.path).name for file in entered.list("/C:/many", soon())} == names


def test_many_reads_and_looks_use_up_neither_credits_nor_handles(host: Path, tmp_path: Path) -> None:
    with drive(tmp_path / "smb", host) as server, opened(server) as entered:
        for _ in range(200):
            reader = entered.read(PATH, 0, 30.0)
            assert next(reader) == DUMP[:CHUNK]
            reader.close()  # type: ignore[attr-defined]
            assert entered.stat(PATH, soon()).size == len(DUMP)
        end = time.monotonic() + 30
        while any(path.endswith("MEMORY.DMP") for path in open_files(server)):
            assert time.monotonic() < end, "a handle stays open"
            time.sleep(0.1)


# --- files that change, and whoever else works with them -----------------------------------------------


def test_a_file_that_grows_or_shrinks_ends_where_it_ends(host: Path, tmp_path: Path) -> None:
    data = os.urandom(CHUNK) * (DEPTH + 8)
    file = host / "Windows" / "MEMORY.DMP"
    with drive(tmp_path / "smb", host) as server:
        for size in (CHUNK * (DEPTH + 4) + 7, CHUNK * (DEPTH + 12)):
            file.write_bytes(data)
            with opened(server) as entered:
                reader = entered.read(PATH, 0, 30.0)
                copied = bytes(next(reader))
                os.truncate(file, size)
                copied += b"".join(reader)
            assert copied == (data + bytes(CHUNK * 4))[:size]


def test_a_file_that_vanishes_is_not_found_and_one_that_is_open_is_read_to_its_end(
    host: Path, tmp_path: Path
) -> None:
    with drive(tmp_path / "smb", host) as server, opened(server) as entered:
        reader = entered.read(PATH, 0, 30.0)
        first = next(reader)
        (host / "Windows" / "MEMORY.DMP").unlink()
        assert b"".join((first, *reader)) == DUMP
        with pytest.raises(FileNotFoundError):
            read(entered)


def test_a_program_on_the_host_may_write_and_delete_what_we_read(host: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"another dump")
    with drive(tmp_path / "smb", host, writable=True) as server, opened(server) as entered:
        reader = entered.read(PATH, 0, 30.0)
        assert next(reader)
        command = [
            tool("smbclient", package="smbclient"),
            "//127.0.0.1/C$", "-p", str(server.port), "-U", server.user, "-c",
            f"put {tmp_path}/new Windows\\MEMORY.DMP; del Windows\\MEMORY.DMP",
        ]  # fmt: skip
        environment = {**os.environ, "PASSWD": server.password}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert "NT_STATUS" not in done.stdout + done.stderr
        reader.close()  # type: ignore[attr-defined]


# --- connections that break, and servers that fall silent ----------------------------------------------


def test_a_copy_that_was_cut_goes_on_at_the_byte_where_it_stopped(host: Path, tmp_path: Path) -> None:
    data, home = os.urandom(CHUNK) * (DEPTH + 4) + b"the end", bytearray()
    (host / "Windows" / "MEMORY.DMP").write_bytes(data)
    with drive(tmp_path / "smb", host) as server:
        with (
            proxy(server.port, after=(DEPTH + 2) * CHUNK + 5_000, hang_up=True) as cut,
            opened(server, port=cut.port) as entered,
            pytest.raises(UnreachableError, match="ended in the middle"),
        ):
            for piece in entered.read(PATH, 0, 30.0):
                home += piece
        assert 0 < len(home) < len(data)
        with opened(server) as entered:
            home += read(entered, len(home))
    assert home == data


@pytest.mark.parametrize("after", [0, 3, 100, 300, 700, 1_000, 1_500])
@pytest.mark.parametrize("hang_up", [False, True])
def test_a_server_that_goes_at_any_stage_is_left_in_time(
    host: Path, tmp_path: Path, after: int, *, hang_up: bool
) -> None:
    """Silent or gone before its first byte, in the middle of a frame, in the login, in a list."""
    start, patience = time.monotonic(), 30.0 if hang_up else 1.0
    with (
        drive(tmp_path / "smb", host) as server,
        proxy(server.port, after=after, hang_up=hang_up) as between,
        pytest.raises(UnreachableError if hang_up else DeadlineError),
        opened(server, port=between.port, deadline=patience) as entered,
    ):
        while True:
            entered.list("/C:/Windows", Deadline.after(patience))
    assert time.monotonic() - start < 60


def test_a_frozen_server_is_left_by_the_stall_in_a_copy_and_by_the_deadline_elsewhere(
    host: Path, tmp_path: Path
) -> None:
    (host / "Windows" / "MEMORY.DMP").write_bytes(bytes(CHUNK * DEPTH * 4))
    with drive(tmp_path / "smb", host) as server:
        with opened(server) as entered:
            reader = entered.read(PATH, 0, 1.0)
            assert next(reader)
            start = time.monotonic()
            with stopped(server.pid), pytest.raises(DeadlineError, match="no byte of the file for 1 s"):
                list(reader)
            for path in (PATH, "/D:/another/share"):
                with pytest.raises(UnreachableError, match="ended in the middle"):
                    entered.stat(path, soon())
        with opened(server) as entered, stopped(server.pid), pytest.raises(DeadlineError, match="in 1 s"):
            entered.stat(PATH, Deadline.after(1.0))
        with stopped(server.pid), pytest.raises(DeadlineError):
            channel(server, deadline=1.0).__enter__()
    assert time.monotonic() - start < 60


def test_a_server_that_drips_is_left_by_the_deadline(host: Path, tmp_path: Path) -> None:
    from tests.peers.smb_between import between

    def drip(number: int, frame: bytes) -> bytes:
        time.sleep(0.4)
        return frame[:1]

    with (
        drive(tmp_path / "smb", host) as server,
        between(server.port, drip) as port,
        pytest.raises(DeadlineError),
    ):
        channel(server, port=port, deadline=1.0).__enter__()
