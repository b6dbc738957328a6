from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.loader import load
from collector.config.settings import Settings
from collector.errors import ConfigError
from collector.model.host import Credential, Host, Platform, SecretRef
from tests.unit.config.endpoints import CHANNELS, CONTROLLERS, DoorEndpoint, LeverEndpoint, Mode

GOLDEN = Path(__file__).parents[2] / "golden" / "config"

WHOLE = """
cases: ./cases
playbooks: ../playbooks
credentials:
  bmc:  {username: admin, password: env:BMC_PASSWORD}
  root: {username: root, private_key: file:~/.ssh/id_ed25519, passphrase: keyring:ssh/root, agent: true}
hosts:
  db01:
    platform: linux
    address: 192.0.2.10
    controllers: [{type: lever, address: 192.0.2.110, strength: 3, mode: pull, credential: bmc}]
    channels:    [{type: door, credential: root, known_hosts: file:./known_hosts}]
    tags: [rack1, prod]
  "007": {platform: esxi, address: "2001:db8::7"}
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HC_CASES", raising=False)


def load_text(folder: Path, text: str) -> Settings:
    path = folder / "hang-collector.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, controllers=CONTROLLERS, channels=CHANNELS)


class TestWhatTheFileSays:
    def test_becomes_frozen_settings(self, tmp_path: Path) -> None:
        loaded = load_text(tmp_path, WHOLE)
        assert loaded == Settings(
            path=tmp_path / "hang-collector.yaml",
            cases=tmp_path / "cases",
            playbooks=tmp_path / "../playbooks",
            credentials={
                "bmc": Credential("bmc", "admin", SecretRef("env", "BMC_PASSWORD", tmp_path)),
                "root": Credential(
                    "root",
                    "root",
                    private_key=SecretRef("file", "~/.ssh/id_ed25519", tmp_path),
                    passphrase=SecretRef("keyring", "ssh/root", tmp_path),
                    agent=True,
                ),
            },
            hosts={
                "db01": Host(
                    "db01",
                    Platform.LINUX,
                    "192.0.2.10",
                    (LeverEndpoint(address="192.0.2.110", strength=3, mode=Mode.PULL, credential="bmc"),),
                    (
                        DoorEndpoint(
                            address="192.0.2.10", credential="root", known_hosts=tmp_path / "known_hosts"
                        ),
                    ),
                    frozenset({"rack1", "prod"}),
                ),
                "007": Host("007", Platform.ESXI, "2001:db8::7"),
            },
        )
        with pytest.raises(TypeError):
            loaded.hosts["db02"] = loaded.hosts["db01"]  # type: ignore[index]

    @pytest.mark.parametrize("written", ["file:./kh", "./kh", "file:kh", "kh"])
    def test_relative_paths_are_meant_from_the_files_folder(
        self, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "settings").mkdir()
        monkeypatch.chdir(tmp_path)
        loaded = load_text(Path("settings"), WHOLE.replace("file:./known_hosts", written))
        (channel,) = loaded.hosts["db01"].channels
        assert isinstance(channel, DoorEndpoint)
        assert channel.known_hosts == tmp_path / "settings" / "kh"
        assert loaded.cases == tmp_path / "settings" / "cases"

    @pytest.mark.parametrize("written", ["file:~/kh", "~/kh"])
    def test_a_tilde_is_the_home_folder(
        self, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
        loaded = load_text(tmp_path, WHOLE.replace("file:./known_hosts", written))
        (channel,) = loaded.hosts["db01"].channels
        assert isinstance(channel, DoorEndpoint)
        assert channel.known_hosts == tmp_path / "home" / "kh"

    def test_the_environment_wins_over_cases_and_is_meant_from_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "settings").mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HC_CASES", "elsewhere")
        assert load_text(tmp_path / "settings", WHOLE).cases == tmp_path / "elsewhere"


class TestRefusing:
    @pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
    def test_every_problem_is_told_at_once_with_its_place_and_what_was_meant(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(GOLDEN)
        with pytest.raises(ConfigError) as caught:
            load(Path(f"{name}.yaml"), controllers=CONTROLLERS, channels=CHANNELS)
        assert f"{caught.value}\n" == Path(f"{name}.txt").read_text(encoding="utf-8")
        assert "hang-collector config check" in caught.value.hint
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_a_flood_of_problems_is_cut_and_counted(self, tmp_path: Path) -> None:
        text = "cases: ./cases\nhosts: {}\n" + "".join(f"key{n}: 1\n" for n in range(60))
        with pytest.raises(ConfigError) as caught:
            load_text(tmp_path, text)
        lines = str(caught.value).splitlines()
        assert lines[0].endswith("has 60 problems")
        assert lines[-1] == "… and 10 more"
        assert len(lines) == 52

    @given(st.text(alphabet="cases:hot{}[]-,\n \"'&*#|", max_size=80))
    def test_arbitrary_text_is_refused_and_nothing_else(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        with pytest.raises(ConfigError):
            load_text(tmp_path_factory.getbasetemp(), text)

    @settings(deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
            lambda inside: (
                st.lists(inside, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["cases", "hosts", "credentials", "db01", "controllers", "channels", "type", "tags"]
                    )
                    | st.text(max_size=4),
                    inside,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_shape_of_data_is_loaded_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, data: object
    ) -> None:
        whole: Mapping[str, Any] = {"cases": "./cases", "hosts": {"db01": data}, "credentials": data}
        for attempt in (data, whole):
            try:
                load_text(tmp_path_factory.getbasetemp(), as_yaml(attempt))
            except ConfigError as error:
                assert " problem" in str(error)


def as_yaml(data: object) -> str:
    """Flow style, quoted by JSON's rules, which YAML shares."""
    import json

    return json.dumps(data)
