"""A Kerberos realm of its own: MIT's KDC on a loopback port, for the length of a test."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.server import free_port, running, tool, wait_for_port

REALM = "HANG.EXAMPLE.COM"
USER, PASSWORD = "oncall", "correct horse"
HOST = "localhost"
"""The one name of this machine that needs no DNS."""


@dataclass(frozen=True)
class Kdc:
    """A running realm. `environment` makes Kerberos' libraries and programs use it, with an empty cache."""

    folder: Path
    port: int
    environment: dict[str, str]

    @property
    def log(self) -> str:
        """What the KDC said of each request that reached it."""
        return (self.folder / "kdc.log").read_text()

    def admin(self, *command: str) -> None:
        """Run a command of kadmin."""
        self.run(tool("kadmin.local", package="krb5-admin-server"), "-r", REALM, *command)

    def kinit(self, *options: str, user: str = USER, password: str = PASSWORD) -> None:
        """Fetch a ticket into the cache."""
        kinit = tool("kinit", package="krb5-user")
        self.run(kinit, *options, f"{user}@{REALM}", text=f"{password}\n")

    def run(self, *command: str, text: str = "") -> None:
        """Run a program in the realm."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)


@contextlib.contextmanager
def kdc(folder: Path) -> Iterator[Kdc]:
    """Serve a realm with a user, and WinRM on this machine as `HTTP/localhost`, for the length of the block.

    Skips the test where the KDC, or the Python packages that speak Kerberos, are missing.
    """
    krb5kdc = tool("krb5kdc", package="krb5-kdc")
    for module in ("gssapi", "krb5"):
        pytest.importorskip(
            module,
            reason="peer missing: pyspnego[kerberos] (Debian package libkrb5-dev)",
            exc_type=ImportError,
        )
    port = free_port()
    files = {name: folder / name for name in ("krb5.conf", "kdc.conf", "cache", "keytab", "client.keytab")}
    files["krb5.conf"].write_text(krb5_conf(port))
    files["kdc.conf"].write_text(
        f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n"
        f"[realms]\n{REALM} = {{\n database_name = {folder}/principal\n key_stash_file = {folder}/stash\n"
        f" acl_file = {folder}/acl\n max_life = 10h\n}}\n[logging]\nkdc = FILE:{folder}/kdc.log\n"
    )
    environment = {
        "KRB5_CONFIG": str(files["krb5.conf"]),
        "KRB5_KDC_PROFILE": str(files["kdc.conf"]),
        "KRB5CCNAME": f"FILE:{files['cache']}",
        "KRB5_KTNAME": f"FILE:{files['keytab']}",
        "KRB5_CLIENT_KTNAME": f"FILE:{files['client.keytab']}",
        "KRB5RCACHENAME": "none:",
    }
    realm = Kdc(folder, port, environment)
    util = tool("kdb5_util", package="krb5-kdc")
    realm.run(util, "create", "-r", REALM, "-s", "-P", "master password of a test")
    realm.admin("addprinc", "-pw", PASSWORD, "+requires_preauth", USER)
    realm.admin("addprinc", "-pw", PASSWORD, "another")
    for service in (f"HTTP/{HOST}", "HTTP/another"):
        realm.admin("addprinc", "-randkey", service)
    realm.admin("ktadd", "-k", str(files["keytab"]), f"HTTP/{HOST}")
    with running([krb5kdc, "-n", "-r", REALM, "-P", folder / "pid"], folder / "out", env=environment):
        wait_for_port(port)
        yield realm


def krb5_conf(port: int, *, realm: str = REALM) -> str:
    """What a client reads: nothing is looked up in DNS, and this machine belongs to `realm`."""
    return (
        f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_realm = false\ndns_lookup_kdc = false\n"
        "dns_canonicalize_hostname = false\nrdns = false\nforwardable = true\n"
        f"[realms]\n{REALM} = {{\n kdc = 127.0.0.1:{port}\n}}\n"
        f"[domain_realm]\n{HOST} = {realm}\n127.0.0.1 = {realm}\n"
    )


@contextlib.contextmanager
def silent_kdc() -> Iterator[int]:
    """The port of a KDC that takes requests and never answers."""
    with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = int(listener.getsockname()[1])
        datagrams.bind(("127.0.0.1", port))
        yield port
