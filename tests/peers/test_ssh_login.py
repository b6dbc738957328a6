"""Logins: what the credential names, once, and nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel, SshEndpoint
from collector.errors import (
    AdapterError,
    ConfigError,
    DeadlineError,
    HostKeyError,
    LoginRefusedError,
    PeerFailedError,
)
from collector.model.host import Credential, SecretRef
from tests.contract.channels import endpoint_for
from tests.peers.ssh_double import PASSWORD, USER, Login, ssh_double
from tests.peers.sshd import Sshd, agent, make_key, sshd

WRONG = "wrong horse"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", PASSWORD)
    monkeypatch.setenv("WRONG", WRONG)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def secret(name: str) -> SecretRef:
    return SecretRef("env", name, Path())


def file(path: Path) -> SecretRef:
    return SecretRef("file", str(path), Path())


def credential(password: str = "RIGHT", **others: SecretRef | bool | None) -> Credential:
    return Credential("oncall", USER, password=secret(password), **others)  # type: ignore[arg-type]


@contextlib.contextmanager
def logged_in(login: Login, credential: Credential | None, seconds: float = 20.0) -> Iterator[SshChannel]:
    endpoint = SshEndpoint(address="127.0.0.1", port=login.port, known_hosts=login.known_hosts)
    with SshChannel(endpoint, credential, Deadline.after(seconds)) as channel:
        yield channel


def refusal(login: Login, credential: Credential | None, seconds: float = 20.0) -> AdapterError | ConfigError:
    with pytest.raises((AdapterError, ConfigError)) as raised, logged_in(login, credential, seconds):
        pass
    return raised.value


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive", "publickey,keyboard-interactive"])
def test_a_refused_password_is_given_once(tmp_path: Path, methods: str) -> None:
    with ssh_double(tmp_path, Login(methods=methods)) as login:
        error = refusal(login, credential("WRONG"))
        assert type(error) is LoginRefusedError
        assert [given for _, given in login.tries] == [WRONG]
        assert login.connections == 1
        assert WRONG not in f"{error!r} {error} {error.hint}"


def test_a_server_that_offers_another_method_after_a_refusal_gets_no_second_try(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login(after_a_failure="keyboard-interactive")) as login:
        assert type(refusal(login, credential("WRONG"))) is LoginRefusedError
        assert [given for _, given in login.tries] == [WRONG]


def test_a_server_that_asks_for_the_password_again_gets_no_second_one(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login(methods="keyboard-interactive", ask_again=True)) as login:
        assert type(refusal(login, credential("WRONG"))) is LoginRefusedError
        assert len(login.tries) == 1


@pytest.mark.parametrize(
    "prompts", [(("Password: ", False), ("OTP: ", False)), (("What is your name?", True),)], ids=len
)
def test_the_password_is_no_answer_to_other_questions(
    tmp_path: Path, prompts: tuple[tuple[str, bool], ...]
) -> None:
    with ssh_double(tmp_path, Login(methods="keyboard-interactive", prompts=prompts)) as login:
        assert type(refusal(login, credential())) is LoginRefusedError
        assert login.tries == []


def test_a_password_is_not_sent_where_none_is_taken(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login(methods="publickey")) as login:
        error = refusal(login, credential())
        assert type(error) is LoginRefusedError
        assert "publickey" in str(error)
        assert login.tries == []


def test_a_refused_key_is_not_followed_by_the_password(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", "PasswordAuthentication=yes") as server:
        key = make_key(tmp_path / "stranger")
        both = Credential("oncall", server.user, password=secret("WRONG"), private_key=file(key))
        with pytest.raises(LoginRefusedError), SshChannel(endpoint_for(server), both, Deadline.after(20)):
            pass
        assert "password for" not in server.log.read_text()


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive"])
def test_the_right_password_logs_in_by_either_method(tmp_path: Path, methods: str) -> None:
    with ssh_double(tmp_path, Login(methods=methods)) as login:
        with logged_in(login, credential()):
            pass
        assert login.tries == [(methods, PASSWORD)]


def test_key_and_password_are_both_given_where_both_are_wanted(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    with ssh_double(tmp_path, Login(methods="publickey", then="password")) as login:
        with logged_in(login, credential(private_key=file(key))):
            pass
        assert login.tries == [("publickey", "ssh-ed25519"), ("password", PASSWORD)]


def test_a_missing_second_factor_is_named(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    with ssh_double(tmp_path, Login(methods="publickey", then="password")) as login:
        error = refusal(login, Credential("oncall", USER, private_key=file(key)))
        assert "wants 'password'" in str(error)


def test_a_login_that_is_never_answered_is_silence_and_no_refusal(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login(on_secret=lambda: time.sleep(4.0))) as login:
        error = refusal(login, credential(), 2.0)
        assert type(error) is DeadlineError
        assert len(login.tries) == 1


def test_a_server_that_hangs_up_at_the_login_without_a_word_has_not_refused(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login(on_secret=hang_up)) as login:
        assert type(refusal(login, credential())) is PeerFailedError


def test_a_host_that_is_still_booting_has_not_refused_and_its_own_words_are_told(tmp_path: Path) -> None:
    """OpenSSH 9.2 with PAM's pam_nologin does so: a banner, and then the connection is closed."""
    booting = "System is booting up. Unprivileged users are not permitted to log in yet.\x1b[2J"
    with ssh_double(tmp_path, Login(banner=booting, on_secret=hang_up)) as login:
        error = refusal(login, credential())
        assert type(error) is PeerFailedError
        assert "System is booting up. Unprivileged users" in error.message
        assert error.message.isprintable()


def hang_up() -> None:
    raise EOFError


def test_a_server_that_hangs_up_for_too_many_failures_has_refused(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", "MaxAuthTries=1") as server:
        stranger = Credential("oncall", server.user, private_key=file(make_key(tmp_path / "stranger")))
        with pytest.raises(LoginRefusedError), SshChannel(endpoint_for(server), stranger, Deadline.after(20)):
            pass


def test_without_a_user_name_nothing_is_sent(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login()) as login:
        assert isinstance(refusal(login, None), ConfigError)
        assert isinstance(refusal(login, Credential("oncall")), ConfigError)
        assert login.connections == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def allow(server: Sshd, key: Path) -> None:
    authorized = server.private_key.parent / "authorized_keys"
    with authorized.open("a") as lines:
        lines.write(key.with_name(key.name + ".pub").read_text())


KEYS = {
    "ed25519": ("ed25519",),
    "RSA": ("rsa", "-b", "2048"),
    "RSA in PEM": ("rsa", "-b", "2048", "-m", "PEM"),
    "RSA in PKCS 8": ("rsa", "-b", "2048", "-m", "PKCS8"),
    "ECDSA": ("ecdsa", "-b", "384"),
    "ECDSA in PEM": ("ecdsa", "-m", "PEM"),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("phrase", ["", "a long phrase"], ids=["plain", "encrypted"])
def test_every_kind_of_key_that_ssh_keygen_makes_logs_in(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, phrase: str
) -> None:
    monkeypatch.setenv("PHRASE", phrase)
    name, *options = KEYS[kind]
    key = make_key(tmp_path / "key", name, phrase, *options)
    allow(server, key)
    passphrase = secret("PHRASE") if phrase else None
    named = Credential("oncall", server.user, private_key=file(key), passphrase=passphrase)
    with SshChannel(endpoint_for(server), named, Deadline.after(20)) as channel:
        assert channel.run("echo in", Deadline.after(20)).stdout == b"in\n"


def test_a_key_that_cannot_be_used_is_the_users_to_correct(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = make_key(tmp_path / "locked", "ed25519", "a long phrase")
    monkeypatch.setenv("TEXT", "PuTTY-User-Key-File-3: ssh-ed25519")
    for named, message in (
        (Credential("c", "x", private_key=file(locked)), "encrypted"),
        (Credential("c", "x", private_key=file(locked), passphrase=secret("WRONG")), "passphrase is wrong"),
        (Credential("c", "x", private_key=secret("TEXT")), "cannot be read"),
        (Credential("c", "x", agent=True), "there is none or it is empty"),
    ):
        with (
            pytest.raises(ConfigError, match=message) as refused,
            SshChannel(endpoint_for(server), named, Deadline.after(20)),
        ):
            pass
        assert not isinstance(refused.value, HostKeyError)
        assert WRONG not in f"{refused.value!r}{refused.value.hint}"


def test_the_agents_keys_are_offered_each_once(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = make_key(tmp_path / "stranger")
    named = Credential("oncall", server.user, agent=True)
    with agent(stranger, server.private_key) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        with SshChannel(endpoint_for(server), named, Deadline.after(20)) as channel:
            assert channel.run("echo in", Deadline.after(20)).stdout == b"in\n"
    with agent(*(make_key(tmp_path / f"stranger{number}") for number in range(8))) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        with pytest.raises(LoginRefusedError), SshChannel(endpoint_for(server), named, Deadline.after(20)):
            pass


@pytest.mark.parametrize(("refused", "asked", "words"), [(0, 1, ""), (2, 3, ""), (99, 3, "has no SFTP")])
def test_a_server_that_refuses_sftp_now_and_then_is_asked_again(
    tmp_path: Path, refused: int, asked: int, words: str
) -> None:
    """As Dropbear does, right after another session was closed. The double's SFTP serves no folder."""
    with (
        ssh_double(tmp_path, Login(refuses_sftp=refused)) as login,
        logged_in(login, credential("RIGHT")) as channel,
        pytest.raises(AdapterError) as raised,
    ):
        channel.list("/", Deadline.after(20.0))
    assert login.asked_for_sftp == asked
    assert ("has no SFTP" in raised.value.message) is bool(words)
