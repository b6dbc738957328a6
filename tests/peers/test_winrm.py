"""The WinRM channel against a server that behaves."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.adapters.base import Notices, PowerShell, Shell, SlowFiles
from collector.adapters.limits import Deadline
from collector.adapters.winrm import WinrmChannel
from collector.errors import ConfigError, HostKeyError, LoginRefusedError, PeerFailedError, UnreachableError
from collector.model.host import Credential, SecretRef
from tests.peers import wsman as peer
from tests.peers.certificate import make_certificate
from tests.peers.winrm_login import winrm_endpoint, winrm_login
from tests.peers.wsman import PASSWORD, USER, Wsman, der_of, wsman
from tests.peers.wsman_powershell import Answer

SCRIPT = "ConvertTo-Json -Compress $Arguments"
HOSTILE = {
    "quote": "SQL'01",
    "double": 'SQL"01',
    "expression": "$(Remove-Item C:\\ -Recurse)",
    "variable": "$env:USERNAME ${x} `$y",
    "lines": "one\ntwo\r\nthree",
    "curly": "\u2018; evil; \u2019 \u201a \u201b \u201c \u201d \u201e",
    "command": "%PATH% & whoami | more > x ^",
    "unicode": "서버 ü 💥",
    "json": '"}, {"script": "evil"',
    "options": "-EncodedCommand AAAA",
    "empty": "",
}
CLIXML = (
    '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
    '<Obj S="progress" RefId="0"><MS><I64 N="SourceId">1</I64><S N="x">Preparing modules</S></MS></Obj>'
    '<S S="Error">Zugriff verweigert _x2014_ a &lt; b_x000D__x000A_</S></Objs>'
)


def scripted(script: str, arguments: Mapping[str, str]) -> Answer:
    answers = {
        "large": Answer(0, b"x" * 1_000_000),
        "status": Answer(7, "Größe ✓\r\n".encode(), "Hyper-V ist nicht da: »x«"),
        "clixml": Answer(1, b"", CLIXML),
        "long": Answer(0, b"late", after=2.0),
        "endless": Answer(0, b"", after=120.0),
    }
    return answers.get(script, Answer(0, str(len(script)).encode()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wsman]:
    with wsman(tmp_path_factory.mktemp("wsman"), scripted) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server: Wsman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WinrmChannel]:
    with opened(server, tmp_path_factory.mktemp("login")) as logged_in:
        yield logged_in


def opened(server: Wsman, folder: Path, seconds: float = 30.0, **keys: object) -> WinrmChannel:
    return WinrmChannel(winrm_endpoint(server, **keys), winrm_login(folder), Deadline.after(seconds))


def soon() -> Deadline:
    return Deadline.after(30.0)


def test_it_is_powershell_and_slow_files_and_no_shell(channel: WinrmChannel) -> None:
    assert isinstance(channel, PowerShell)
    assert isinstance(channel, SlowFiles)
    assert isinstance(channel, Notices)
    assert not isinstance(channel, Shell)
    assert "MB/s" in channel.slowness()


def test_arguments_arrive_as_data_whatever_they_hold(channel: WinrmChannel, server: Wsman) -> None:
    channel.powershell(SCRIPT, soon(), arguments=HOSTILE)
    assert server.ran[-1] == (SCRIPT, HOSTILE)


def test_a_script_has_any_length(channel: WinrmChannel, server: Wsman) -> None:
    script = "# 서버\n" + "x" * 300_000
    assert channel.powershell(script, soon()).stdout == str(len(script)).encode()
    assert server.ran[-1][0] == script


def test_status_output_and_errors_are_the_script_s(channel: WinrmChannel) -> None:
    result = channel.powershell("status", soon())
    assert result.exit_status == 7
    assert result.stdout.decode() == "Größe ✓\r\n"
    assert result.stderr.decode() == "Hyper-V ist nicht da: »x«"
    assert not result.truncated


def test_errors_come_without_clixml(channel: WinrmChannel) -> None:
    assert channel.powershell("clixml", soon()).stderr.decode() == "Zugriff verweigert — a < b"


@pytest.mark.parametrize(("limit", "cut"), [(999_999, True), (1_000_000, False)])
def test_output_is_kept_up_to_the_limit(channel: WinrmChannel, limit: int, cut: bool) -> None:
    result = channel.powershell("large", soon(), limit=limit)
    assert (result.stdout, result.truncated) == (b"x" * limit, cut)


def test_a_script_may_take_longer_than_one_receive_waits(channel: WinrmChannel, server: Wsman) -> None:
    asked = server.counts["Receive"]
    assert channel.powershell("long", Deadline.after(15.0)).stdout == b"late"
    assert server.counts["Receive"] > asked


def test_threads_share_a_channel(channel: WinrmChannel) -> None:
    def lengths(_: int) -> list[bytes]:
        return [channel.powershell("y" * size, soon()).stdout for size in (1, 20, 300)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lengths, range(4))) == [[b"1", b"20", b"300"]] * 4


def test_nothing_is_left_behind_and_nothing_went_in_the_clear(channel: WinrmChannel, server: Wsman) -> None:
    channel.powershell(SCRIPT, soon())
    for _ in range(100):
        if not server.shells.open:
            break
        time.sleep(0.05)
    assert server.shells.open == {}
    assert set(server.shells.idle_timeouts) == {"PT180S"}
    assert server.in_the_clear == []


def test_a_script_that_does_not_end_is_ended_on_the_host(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted) as server, opened(server, tmp_path) as channel:
        started = time.monotonic()
        with pytest.raises(Exception, match="did not answer within 2 s"):
            channel.powershell("endless", Deadline.after(2.0))
        assert time.monotonic() - started < 10.0
        assert server.shells.open == {}
        assert server.counts["Signal"] == 1
        assert channel.powershell("abc", soon()).stdout == b"3"


def test_a_closed_channel_says_so(server: Wsman, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="closed"):
        opened(server, tmp_path).powershell(SCRIPT, soon())


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_over_tls_the_host_is_verified(tmp_path: Path, transport: str) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    with (
        wsman(tmp_path, scripted, schemes=("NTLM", "Basic"), certificate=certificate) as server,
        opened(server, tmp_path, transport=transport) as channel,
    ):
        assert channel.powershell("abc", soon()).stdout == b"3"
        assert channel.notices == ()


@pytest.mark.parametrize("keys", [{"ca_file": None}, {"address": "localhost"}], ids=["unknown", "misnamed"])
def test_nobody_else_gets_the_login(tmp_path: Path, keys: dict[str, object]) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    with (
        wsman(tmp_path, scripted, schemes=("NTLM", "Basic"), certificate=certificate) as server,
        pytest.raises(HostKeyError, match="not proved"),
        opened(server, tmp_path, transport="basic", **keys),
    ):
        pass
    assert server.accounts.logins == []


def test_to_accept_any_certificate_is_loud(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    with (
        wsman(tmp_path, scripted, certificate=certificate) as server,
        opened(server, tmp_path, ca_file=None, insecure_accept_any_certificate=True) as channel,
    ):
        assert channel.powershell("abc", soon()).stdout == b"3"
        assert "NOT verified" in channel.notices[0]


def test_a_certificate_logs_in_over_tls(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path / "c.pem")
    credential = Credential("cert", private_key=SecretRef("file", str(ours), tmp_path))
    with wsman(tmp_path, scripted, schemes=("Certificate",), certificate=ours) as server:
        endpoint = winrm_endpoint(server, transport="certificate", certificate=ours)
        with WinrmChannel(endpoint, credential, soon()) as channel:
            assert channel.powershell("abc", soon()).stdout == b"3"
    assert set(server.accounts.logins) == {("Certificate", True)}


@pytest.mark.parametrize(("trusted", "days"), [("another", 1), ("ours", -1)], ids=["unknown", "expired"])
def test_a_certificate_that_the_host_does_not_take_is_refused_once(
    tmp_path: Path, trusted: str, days: int
) -> None:
    theirs = make_certificate(tmp_path / "server.pem")
    ours = make_certificate(tmp_path / "client.pem", name="oncall", days=days)
    clients = ours if trusted == "ours" else make_certificate(tmp_path / "another.pem", name="another")
    with wsman(tmp_path, scripted, schemes=("Certificate",), certificate=theirs, clients=clients) as server:
        with pytest.raises(LoginRefusedError, match="does not take our certificate") as caught:
            by_certificate(server, ours).__enter__()
        assert type(caught.value) is LoginRefusedError
        assert server.connections == 1
        assert server.authorizations == []


def test_a_certificate_without_an_account_is_refused_once(tmp_path: Path) -> None:
    theirs = make_certificate(tmp_path / "server.pem")
    ours = make_certificate(tmp_path / "client.pem", name="oncall")
    with wsman(tmp_path, scripted, schemes=("Certificate",), certificate=theirs, clients=ours) as server:
        with by_certificate(server, ours) as channel:
            assert channel.powershell("abc", soon()).stdout == b"3"
        server.accounts.logins.clear()
        server.accounts.mapped = der_of(theirs)
        with pytest.raises(LoginRefusedError):
            by_certificate(server, ours).__enter__()
        assert server.accounts.logins == [("Certificate", False)]


def by_certificate(server: Wsman, pem: Path) -> WinrmChannel:
    endpoint = winrm_endpoint(server, transport="certificate", certificate=pem)
    credential = Credential("cert", private_key=SecretRef("file", str(pem), pem.parent))
    return WinrmChannel(endpoint, credential, soon())


def test_a_host_that_asks_for_no_certificate_refuses_it_once(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path / "c.pem")
    with wsman(tmp_path, scripted, schemes=("NTLM", "Basic"), certificate=ours) as server:
        with pytest.raises(LoginRefusedError), by_certificate(server, ours):
            pass
        assert len(server.authorizations) == 1


def test_the_environment_names_no_proxy_and_no_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    certificate = make_certificate(tmp_path / "c.pem")
    for made in (None, certificate):
        with (
            wsman(tmp_path, scripted, certificate=made) as server,
            opened(server, tmp_path) as channel,
        ):
            assert channel.powershell("abc", soon()).stdout == b"3"


def test_an_ipv6_address_is_one(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "c.pem", address="::1")
    with (
        wsman(tmp_path, scripted, certificate=certificate, address="::1") as server,
        opened(server, tmp_path) as channel,
    ):
        assert channel.powershell("abc", soon()).stdout == b"3"


def test_a_login_without_a_password_is_a_mistake_in_the_settings(server: Wsman, tmp_path: Path) -> None:
    for credential in (None, Credential("win", username=USER)):
        with (
            pytest.raises(ConfigError, match="password"),
            WinrmChannel(winrm_endpoint(server), credential, soon()),
        ):
            pass


@pytest.mark.parametrize("transport", ["ntlm", "basic", "credssp"])
def test_the_password_is_in_no_process_list_and_no_log(
    tmp_path: Path, transport: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    certificate = make_certificate(tmp_path / "c.pem")
    schemes = ("NTLM", "Basic", "CredSSP")
    with wsman(tmp_path, scripted, schemes=schemes, certificate=certificate) as server:
        endpoint, credential = winrm_endpoint(server, transport=transport), winrm_login(tmp_path)
        assert PASSWORD not in repr(endpoint.target(credential))
        with WinrmChannel(endpoint, credential, soon()) as channel:
            ours = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            workers = [pid for children in ours for pid in children.read_text().split()]
            assert workers
            for pid in (str(os.getpid()), *workers):
                for file in ("cmdline", "environ"):
                    assert PASSWORD.encode() not in Path("/proc", pid, file).read_bytes()
            server.trouble["Create"] = peer.status(500, body=b"<html>")
            with pytest.raises(PeerFailedError) as caught:
                channel.powershell("abc", soon())
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint + "".join(capfd.readouterr())
    assert PASSWORD not in told + caplog.text


def test_a_killed_collector_leaves_no_session_behind(server: Wsman, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tests.peers.test_winrm import *\n"
        f"keys = {{'address': '127.0.0.1', 'port': {server.port}, 'tls': False}}\n"
        "from collector.adapters.winrm import WinrmEndpoint\n"
        f"login = winrm_login(pathlib.Path({str(tmp_path)!r}))\n"
        "channel = WinrmChannel(WinrmEndpoint(**keys), login, Deadline.after(30)).__enter__()\n"
        "print(channel._session._worker._process.pid, flush=True)\n"
        "channel.powershell('endless', Deadline.after(60))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20.0
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(worker, 0)
            if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.1)
        else:
            pytest.fail("the worker lives on")
