from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import PlaybookError
from collector.playbook.loader import load, load_all, shipped_folder
from collector.playbook.schema import json_schema
from tests.unit.playbook.test_schema import WHOLE, changed

REPOSITORY = Path(__file__).parents[3]
SHIPPED = (shipped_folder() / "linux-kdump.yaml").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the shipped playbook in a folder of the user's own."""
    file = tmp_path / "linux-kdump.yaml"
    file.write_text(SHIPPED, encoding="utf-8")
    return file


def refusal(path: Path) -> PlaybookError:
    with pytest.raises(PlaybookError) as caught:
        load(path)
    assert caught.value.hint
    return caught.value


def test_the_shipped_playbooks_load_in_the_order_of_their_names() -> None:
    files = load_all()
    assert [file.playbook.name for file in files] == sorted(p.stem for p in shipped_folder().glob("*.yaml"))
    assert all(file.origin == "shipped" and file.hides is None for file in files)


def test_a_user_s_playbook_wins_over_the_shipped_one_of_its_name(own: Path) -> None:
    own.write_text(SHIPPED.replace("rounds: 2", "rounds: 5"), encoding="utf-8")
    (file,) = [f for f in load_all(own.parent) if f.playbook.name == own.stem]
    assert file.playbook.steps.probe.rounds == 5
    assert file.hides == shipped_folder() / own.name
    assert file.origin == f"{own}, in place of the shipped one"


def test_a_user_s_further_playbook_stands_beside_the_shipped_ones(own: Path) -> None:
    other = own.with_name("big-iron.yaml")
    other.write_text(SHIPPED.replace("name: linux-kdump", "name: big-iron"), encoding="utf-8")
    own.unlink()
    assert {"big-iron", "linux-kdump"} <= {file.playbook.name for file in load_all(own.parent)}


def test_one_wrong_playbook_stops_all_for_the_rest_might_fit_by_chance(own: Path) -> None:
    own.with_name("broken.yaml").write_text("name: broken\n")
    with pytest.raises(PlaybookError, match=re.escape("broken.yaml")):
        load_all(own.parent)


def test_a_playbook_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="there is no folder"):
        load_all(tmp_path / "absent")


def test_a_file_that_would_be_overlooked_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(SHIPPED)
    with pytest.raises(PlaybookError, match=re.escape("mine.yml")):
        load_all(tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("grace: 3m", "grease: 3m", r"unknown key `grease`; did you mean `grace`\?"),
        ("platform: linux", "platform: linus", "did you mean 'linux'"),
        ("grace: 3m", "grace: 180", "a duration is a number with its unit"),
        ("rounds: 2", 'rounds: "2"', "a whole number"),
        ("rounds: 2", "rounds: yes", "a whole number"),
        (
            "collect: [power, clock, event-log,",
            "collect: [power, clock, event-logs,",
            "did you mean 'event-log'",
        ),
        ("file: /proc/mounts", "file: /proc/mounts, command: mount", "exactly one of 'command', 'file'"),
        ("name: mounts.txt", "name: ../mounts.txt", "pattern"),
        ("controllers: [ipmi, hyperv, vsphere, esxi-vm]", "controllers: []", "at least 1"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(own: Path, right: str, wrong: str, says: str) -> None:
    assert right in SHIPPED
    own.write_text(SHIPPED.replace(right, wrong, 1), encoding="utf-8")
    line = next(n for n, text in enumerate(SHIPPED.splitlines(), start=1) if right in text)
    assert re.search(rf"{re.escape(str(own))}:{line}:\d+: .*{says}", refusal(own).message)


def test_every_mistake_is_told_at_once(own: Path) -> None:
    own.write_text(SHIPPED.replace("grace:", "grease:").replace("rounds: 2", "rounds: two"), encoding="utf-8")
    message = refusal(own).message
    assert "grease" in message
    assert "a whole number" in message


def test_the_name_and_the_file_s_name_agree(own: Path) -> None:
    assert "the file is named other.yaml" in refusal(own.rename(own.with_name("other.yaml"))).message


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\x00\x01",
        b"\xff\xfe",
        b"- a list\n",
        b"just text",
        b"name: [",
        b"name: a\nname: b\n",
        b"name: !!python/object/apply:os.system ['touch /tmp/owned']\n",
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        b"<<: {name: x}\n",
        b"[" * 100_000,
        b"%YAML 1.1\n---\nname: a\n",
        b"---\nname: a\n---\nname: b\n",
        b"name: 1" + b"0" * 5000 + b"\n",
    ],
    ids=lambda text: text[:12].decode("latin-1"),
)
def test_hostile_yaml_is_refused(own: Path, hostile: bytes) -> None:
    own.write_bytes(hostile)
    assert str(own) in refusal(own).message


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_playbook_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    refusal(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    refusal(tmp_path / "absent.yaml")
    refusal(tmp_path)


def test_the_published_schema_is_the_one_in_force() -> None:
    published = (REPOSITORY / "docs" / "playbook.schema.json").read_text(encoding="utf-8")
    assert published == json_schema(), "hang-collector playbook schema > docs/playbook.schema.json"


@pytest.mark.parametrize(
    "document",
    [
        changed(30, "steps", "trigger", "deadline"),
        changed("30", "steps", "trigger", "deadline"),
        changed("x", "colour"),
        changed("solaris", "when", "platform"),
        changed([{"name": "a", "command": "x", "file": "/x"}], "steps", "retrieve", "logs"),
        changed([{"name": "a/b", "command": "x"}], "steps", "retrieve", "logs"),
    ],
)
def test_the_published_schema_refuses_what_the_loader_refuses(document: dict[str, Any]) -> None:
    schema = json.loads(json_schema())
    jsonschema.validate(WHOLE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
