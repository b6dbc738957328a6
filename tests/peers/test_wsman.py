"""The WS-Management server is believed because clients that do not know it get along with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import winrm
from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan
from requests_credssp.exceptions import NTStatusException
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol

from tests.peers.certificate import make_certificate
from tests.peers.kdc import kdc
from tests.peers.wsman import PASSWORD, USER, Wsman, wsman
from tests.peers.wsman_powershell import Answer


def echo(script: str, arguments: Mapping[str, str]) -> Answer:
    """What a shell would answer to `echo`; any other script is told back, on both streams."""
    if script.startswith("echo "):
        return Answer(0, script.removeprefix("echo ").encode() + b"\r\n")
    return Answer(3, script.encode(), f"not run: {script} <&>")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Wsman]:
    with wsman(tmp_path, echo) as running:
        yield running


def pywinrm(server: Wsman, password: str = PASSWORD, **more: object) -> Protocol:
    return Protocol(
        server.url,
        transport="ntlm",
        username=USER,
        password=password,
        proxy=None,
        ca_trust_path=None,
        **more,  # type: ignore[arg-type]
    )


def test_pywinrm_runs_a_command(server: Wsman) -> None:
    session = winrm.Session(server.url, (USER, PASSWORD), transport="ntlm", proxy=None, ca_trust_path=None)
    result = session.run_cmd("echo", ["hello"])
    session.protocol.transport.close_session()
    assert (result.status_code, result.std_out, result.std_err) == (0, b"hello\r\n", b"")
    assert server.shells.open == {}
    assert server.in_the_clear == []


def test_pywinrm_runs_powershell_and_reads_its_errors(server: Wsman) -> None:
    session = winrm.Session(server.url, (USER, PASSWORD), transport="ntlm", proxy=None, ca_trust_path=None)
    result = session.run_ps("Get-Date ångström")
    session.protocol.transport.close_session()
    assert (result.status_code, result.std_out.decode()) == (3, "Get-Date ångström")
    assert result.std_err.decode().strip() == "not run: Get-Date ångström <&>"


def test_a_command_line_that_is_too_long_does_not_start(server: Wsman) -> None:
    session = winrm.Session(server.url, (USER, PASSWORD), transport="ntlm", proxy=None, ca_trust_path=None)
    assert session.run_ps("x" * 3061).status_code == 3
    result = session.run_ps("x" * 3062)
    session.protocol.transport.close_session()
    assert (result.status_code, result.std_err) == (1, b"The command line is too long.\r\n")


def test_pywinrm_is_refused_with_a_wrong_password(server: Wsman) -> None:
    protocol = pywinrm(server, "wrong")
    with pytest.raises(InvalidCredentialsError):
        protocol.open_shell()
    protocol.transport.close_session()
    assert server.accounts.logins == [("NTLM", False)]
    assert server.counts == {}


def test_a_command_that_says_nothing_yet_ends_receive_with_a_timeout(tmp_path: Path) -> None:
    with wsman(tmp_path, lambda script, arguments: Answer(after=60.0)) as server:
        protocol = pywinrm(server, read_timeout_sec=20, operation_timeout_sec=1)
        shell = protocol.open_shell()
        command = protocol.run_command(shell, "echo")
        with pytest.raises(WinRMOperationTimeoutError):
            protocol.get_command_output_raw(shell, command)
        protocol.close_shell(shell)


def test_a_shell_that_does_not_exist_is_a_fault(server: Wsman) -> None:
    protocol = pywinrm(server)
    with pytest.raises(WSManFaultError) as caught:
        protocol.run_command("no-such-shell", "echo")
    protocol.transport.close_session()
    assert caught.value.wsman_fault_code == 2150858843


def test_what_is_not_encrypted_is_refused_over_http(server: Wsman) -> None:
    protocol = pywinrm(server, message_encryption="never")
    with pytest.raises(Exception, match="500"):
        protocol.open_shell()
    protocol.transport.close_session()
    assert len(server.in_the_clear) == 1
    assert server.counts == {}


@pytest.mark.parametrize("auth", ["ntlm", "negotiate"])
def test_pypsrp_runs_a_process(server: Wsman, auth: str) -> None:
    client = WSMan(
        "127.0.0.1", port=server.port, username=USER, password=PASSWORD, ssl=False, auth=auth, no_proxy=True
    )
    with client, WinRS(client) as shell:
        process = Process(shell, "echo", ["hello"])
        process.invoke()
        assert (process.rc, process.stdout) == (0, b"hello\r\n")
    assert server.shells.open == {}
    assert server.in_the_clear == []


def test_pypsrp_runs_a_process_over_tls_by_basic_login(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "wsman.pem")
    with wsman(tmp_path, echo, schemes=("Basic",), certificate=certificate) as server:
        client = WSMan(
            "127.0.0.1",
            port=server.port,
            username=USER,
            password=PASSWORD,
            auth="basic",
            cert_validation=str(certificate),
            no_proxy=True,
        )
        with client, WinRS(client) as shell:
            process = Process(shell, "echo", ["hello"])
            process.invoke()
            assert (process.rc, process.stdout) == (0, b"hello\r\n")


@pytest.fixture(params=[True, False], ids=["https", "http"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return make_certificate(tmp_path / "wsman.pem", name="localhost") if request.param else None


def echoes(server: Wsman, auth: str, address: str = "127.0.0.1", **more: object) -> None:
    """pypsrp logs in and runs a command; what does not fit a record of TLS or an envelope, too."""
    client = WSMan(
        address,
        port=server.port,
        auth=auth,
        ssl=server.tls,
        cert_validation=str(server.ca) if server.tls else False,
        no_proxy=True,
        **more,  # type: ignore[arg-type]
    )
    words = "hello " * 1000
    with client, WinRS(client) as shell:
        process = Process(shell, "echo", [words], no_shell=True)
        process.invoke()
        assert (process.rc, process.stdout) == (0, words.encode() + b"\r\n")
    assert server.shells.open == {}
    assert server.in_the_clear == []


def test_pypsrp_logs_in_by_kerberos(
    tmp_path: Path, certificate: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kdc(tmp_path) as realm:
        for name, value in realm.environment.items():
            monkeypatch.setenv(name, value)
        realm.kinit()
        with wsman(tmp_path / "server", echo, schemes=("Kerberos",), certificate=certificate) as server:
            echoes(server, "kerberos", "localhost", negotiate_service="HTTP")
            assert server.accounts.logins == [("Kerberos", True)]


def test_pypsrp_logs_in_by_credssp(tmp_path: Path, certificate: Path | None) -> None:
    with wsman(tmp_path, echo, schemes=("CredSSP",), certificate=certificate) as server:
        echoes(server, "credssp", username=USER, password=PASSWORD, credssp_auth_mechanism="ntlm")
        assert server.accounts.delegated == [(USER, PASSWORD)]


def test_pypsrp_with_a_wrong_password_hands_nothing_over(tmp_path: Path) -> None:
    with wsman(tmp_path, echo, schemes=("CredSSP",)) as server:
        with pytest.raises(NTStatusException, match="0x8009030c"):
            echoes(server, "credssp", username=USER, password="wrong", credssp_auth_mechanism="ntlm")
        assert server.accounts.delegated == []
        assert server.accounts.logins == [("CredSSP", False)]


def test_pypsrp_logs_in_by_certificate(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path / "c.pem")
    with wsman(tmp_path, echo, schemes=("Certificate",), certificate=ours) as server:
        echoes(server, "certificate", certificate_pem=str(ours), certificate_key_pem=str(ours))
        assert set(server.accounts.logins) == {("Certificate", True)}


def test_awinrm_with_an_ntlm_of_its_own_runs_a_command(server: Wsman) -> None:
    secret = PASSWORD.replace(" ", "%20")
    url = f"http+ntlm-password://{USER}:{secret}@127.0.0.1:{server.port}/wsman"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "awinrm-runcmd"), "-c", "echo hello", url],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"hello" in done.stdout, done
    assert [script for script, _ in server.ran] == ["echo hello"]
    assert server.in_the_clear == []
