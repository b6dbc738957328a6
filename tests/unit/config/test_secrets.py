from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

from collector.config import secrets
from collector.config.secrets import parse_reference, reveal
from collector.errors import SecretError
from collector.model.host import SecretRef

VALUE = "hunter2-correct-horse"

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


def everything_a_reader_may_see(error: SecretError) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + error.hint


def private_file(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path


class TestReading:
    @pytest.mark.parametrize(
        ("text", "scheme", "locator"),
        [
            ("env:BMC_PASSWORD", "env", "BMC_PASSWORD"),
            ("file:./bmc secret", "file", "./bmc secret"),
            ("file:C:\\secrets\\bmc", "file", "C:\\secrets\\bmc"),
            ("keyring:https://bmc/CORP\\admin", "keyring", "https://bmc/CORP\\admin"),
            ("vault:secret/data/bmc#password", "vault", "secret/data/bmc#password"),
        ],
    )
    def test_a_reference_is_split_at_its_scheme(
        self, text: str, scheme: str, locator: str, tmp_path: Path
    ) -> None:
        ref = parse_reference(text, tmp_path)
        assert ref == SecretRef(scheme, locator, tmp_path)
        assert str(ref) == text

    @pytest.mark.parametrize(
        "text",
        [
            VALUE,
            "",
            f"pass:{VALUE}",
            f"ENV:{VALUE}",
            f"env:{VALUE}!",
            f"env:A\n{VALUE}",
            f"keyring:{VALUE}",
            f"keyring:{VALUE}/",
            f"vault:{VALUE}",
            f"vault:#{VALUE}",
            f"file:\x1b]0;{VALUE}",
            "env:",
            "file:",
        ],
    )
    def test_what_is_no_reference_is_refused_and_never_repeated(self, text: str, tmp_path: Path) -> None:
        with pytest.raises(SecretError) as caught:
            parse_reference(text, tmp_path)
        assert VALUE not in str(caught.value) + caught.value.hint
        assert "env:NAME" in caught.value.hint or "Write " in caught.value.hint

    @given(st.text())
    def test_any_text_is_a_reference_or_a_secret_error(self, text: str) -> None:
        try:
            assert str(parse_reference(text, Path())) == text
        except SecretError as error:
            assert len(text) < 9 or text not in str(error) + error.hint


class TestEnvironment:
    def test_gives_the_value_of_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BMC_PASSWORD", VALUE)
        assert reveal(parse_reference("env:BMC_PASSWORD", Path())) == VALUE

    def test_a_missing_variable_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("BMC_PASSWORD", raising=False)
        with pytest.raises(SecretError, match="env:BMC_PASSWORD"):
            reveal(parse_reference("env:BMC_PASSWORD", Path()))

    def test_an_empty_secret_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BMC_PASSWORD", "")
        with pytest.raises(SecretError, match="is empty"):
            reveal(parse_reference("env:BMC_PASSWORD", Path()))


class TestFile:
    @pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
    def test_one_line_end_is_not_part_of_the_secret(self, ending: bytes, tmp_path: Path) -> None:
        private_file(tmp_path / "bmc", VALUE.encode() + ending)
        assert reveal(parse_reference("file:./bmc", tmp_path)) == VALUE

    def test_blanks_and_further_lines_are_part_of_the_secret(self, tmp_path: Path) -> None:
        private_file(tmp_path / "bmc", b" a \nb\n\n")
        assert reveal(parse_reference("file:bmc", tmp_path)) == " a \nb\n"

    def test_a_tilde_is_the_home_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        private_file(tmp_path / "key", b"k\n")
        assert reveal(parse_reference("file:~/key", tmp_path / "elsewhere")) == "k"

    @posix_only
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
    def test_a_file_that_others_may_read_is_refused(self, mode: int, tmp_path: Path) -> None:
        private_file(tmp_path / "bmc", VALUE.encode()).chmod(mode)
        with pytest.raises(SecretError, match=f"others may read this file .mode {mode:04o}.") as caught:
            reveal(parse_reference("file:bmc", tmp_path))
        assert VALUE not in everything_a_reader_may_see(caught.value)

    @posix_only
    def test_a_fifo_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(SecretError, match="not a file"):
            reveal(parse_reference("file:pipe", tmp_path))

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty"),
            (b"\n", "empty"),
            (VALUE.encode() + b"\xff", "UTF-8"),
            (b"x" * (secrets.MAX_BYTES + 1), "larger"),
        ],
    )
    def test_what_cannot_be_a_secret_is_refused(self, content: bytes, reason: str, tmp_path: Path) -> None:
        private_file(tmp_path / "bmc", content)
        with pytest.raises(SecretError, match=reason) as caught:
            reveal(parse_reference("file:bmc", tmp_path))
        assert VALUE not in everything_a_reader_may_see(caught.value)

    @pytest.mark.parametrize("path", ["missing", ".", "~nobody-of-this-name/key"])
    def test_a_path_that_leads_nowhere_is_named(self, path: str, tmp_path: Path) -> None:
        with pytest.raises(SecretError, match=f"file:{path}"):
            reveal(parse_reference(f"file:{path}", tmp_path))


class Ring(KeyringBackend):
    """A keyring of the real package with one entry, or one that waits for a person who never comes."""

    priority = 1

    def __init__(self, entries: dict[tuple[str, str], str], closed: threading.Event | None = None) -> None:
        super().__init__()
        self.entries = entries
        self.closed = closed

    def get_password(self, service: str, username: str) -> str | None:
        if self.closed is not None:
            self.closed.wait(20)
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


class TestKeyring:
    @pytest.fixture
    def use(self) -> Iterator[Callable[[KeyringBackend], None]]:
        before = keyring.get_keyring()
        yield keyring.set_keyring
        keyring.set_keyring(before)

    def test_asks_for_the_user_of_the_service(self, use: Callable[[KeyringBackend], None]) -> None:
        use(Ring({("https://bmc", "admin"): VALUE}))
        assert reveal(parse_reference("keyring:https://bmc/admin", Path())) == VALUE

    def test_an_entry_that_is_not_there_says_how_to_make_it(
        self, use: Callable[[KeyringBackend], None]
    ) -> None:
        use(Ring({}))
        with pytest.raises(SecretError) as caught:
            reveal(parse_reference("keyring:bmc/admin", Path()))
        assert "keyring set bmc admin" in caught.value.hint

    def test_no_keyring_at_all_is_a_secret_error(self, use: Callable[[KeyringBackend], None]) -> None:
        from keyring.backends.fail import Keyring

        use(Keyring())
        with pytest.raises(SecretError, match="keyring:bmc/admin"):
            reveal(parse_reference("keyring:bmc/admin", Path()))

    def test_a_keyring_that_nobody_unlocks_is_given_up(
        self, use: Callable[[KeyringBackend], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secrets, "WAIT_S", 0.1)
        unlocked = threading.Event()
        use(Ring({}, unlocked))
        with pytest.raises(SecretError, match="no answer"):
            reveal(parse_reference("keyring:bmc/admin", Path()))
        unlocked.set()


class Vault(BaseHTTPRequestHandler):
    """The read call of Vault's HTTP API, by its documentation: KV 1, KV 2, 403 and 404."""

    silent = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/v1/silent":
            self.silent.wait(20)
        elif self.headers["X-Vault-Token"] != "t0ken":
            self.answer(403, {"errors": ["permission denied"]})
        elif self.path == "/v1/kv/bmc":
            self.answer(200, {"data": {"password": VALUE, "port": 623}})
        elif self.path == "/v1/secret/data/bmc":
            self.answer(200, {"data": {"data": {"password": VALUE}, "metadata": {"version": 3}}})
        else:
            self.answer(404, {"errors": []})

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


class TestVault:
    @pytest.fixture(autouse=True)
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with HTTPServer(("127.0.0.1", 0), Vault) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setenv("VAULT_TOKEN", "t0ken")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            Vault.silent.clear()
            yield
            Vault.silent.set()
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize("path", ["kv/bmc", "secret/data/bmc"])
    def test_reads_both_versions_of_the_kv_engine(self, path: str) -> None:
        assert reveal(parse_reference(f"vault:{path}#password", Path())) == VALUE

    @pytest.mark.parametrize(
        ("reference", "reason"),
        [
            ("vault:kv/nothing#password", "nothing at this path"),
            ("vault:kv/bmc#pass", "no text under the key 'pass'"),
            ("vault:kv/bmc#port", "no text under the key 'port'"),
        ],
    )
    def test_what_is_not_there_is_named(self, reference: str, reason: str) -> None:
        with pytest.raises(SecretError, match=reason) as caught:
            reveal(parse_reference(reference, Path()))
        assert VALUE not in everything_a_reader_may_see(caught.value)

    def test_a_refused_token_is_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_TOKEN", VALUE)
        with pytest.raises(SecretError, match="Forbidden") as caught:
            reveal(parse_reference("vault:kv/bmc#password", Path()))
        assert VALUE not in everything_a_reader_may_see(caught.value)

    def test_a_vault_that_accepts_and_never_answers_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secrets, "WAIT_S", 0.2)
        with pytest.raises(SecretError, match=r"no answer|Timeout"):
            reveal(parse_reference("vault:silent#password", Path()))

    def test_nobody_is_asked_without_an_address_and_a_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VAULT_ADDR")
        monkeypatch.setenv("VAULT_TOKEN", "")
        with pytest.raises(SecretError, match="VAULT_ADDR and VAULT_TOKEN"):
            reveal(parse_reference("vault:kv/bmc#password", Path()))


@pytest.mark.parametrize(
    ("module", "reference", "extra"),
    [("keyring", "keyring:bmc/admin", "keyring"), ("hvac.exceptions", "vault:a#b", "vault")],
)
def test_a_missing_extra_says_what_to_install(
    module: str, reference: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SecretError) as caught:
        reveal(parse_reference(reference, Path()))
    assert f"pip install 'hang-collector[{extra}]'" in caught.value.hint
