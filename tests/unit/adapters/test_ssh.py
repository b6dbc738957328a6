"""The SSH endpoint's settings, and what importing the adapter costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from collector.adapters.ssh import SshEndpoint
from collector.adapters.ssh_connect import Hop, quoted


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("jump01", Hop("jump01", 22)),
        ("root@jump01:2222", Hop("jump01", 2222, "root")),
        ("root@[2001:db8::1]:2222", Hop("2001:db8::1", 2222, "root")),
        ("[2001:db8::1]", Hop("2001:db8::1", 22)),
    ],
)
def test_a_jump_host_is_written_as_for_ssh(text: str, hop: Hop) -> None:
    assert Hop.parse(text) == hop


@pytest.mark.parametrize("text", ["", "a b", "root@", "jump01:0", "jump01:65536", "jump01,", "x@y@z", "h:p"])
def test_what_is_no_jump_host_is_refused_with_the_settings(text: str) -> None:
    with pytest.raises(ValidationError, match="user@host:port"):
        SshEndpoint(address="db01", proxy_jump=text)


def test_the_route_leads_through_the_jump_hosts_in_their_order() -> None:
    endpoint = SshEndpoint(address="db01", proxy_jump="a@jump01, jump02:2222")
    assert [str(hop) for hop in endpoint.route()] == ["jump01:22", "jump02:2222", "db01:22"]


def test_hosts_are_verified_unless_the_settings_say_a_long_word() -> None:
    assert SshEndpoint(address="db01").insecure_accept_any_host_key is False


def test_what_a_peer_says_is_shown_on_one_short_line_of_ascii() -> None:
    shown = quoted("\x1b[2J\nüber" * 1000)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 1000


def test_the_settings_can_be_loaded_without_paying_for_paramiko() -> None:
    check = "import sys, collector.adapters.ssh; sys.exit('paramiko' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
