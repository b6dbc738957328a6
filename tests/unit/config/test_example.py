from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from collector.adapters.registry import channel_settings, controller_settings
from collector.config.document import read
from collector.config.frame import CredentialEntry, HostEntry, SettingsFile
from collector.config.json_schema import as_text, schema
from collector.config.loader import load
from collector.config.settings import EndpointModels

TOP = Path(__file__).parents[3]
EXAMPLE = TOP / "config.example.yaml"
SCHEMA = TOP / "docs" / "config.schema.json"


def shipped(models: EndpointModels) -> EndpointModels:
    """Only what this project ships: other packages on this machine may bring adapters, too."""
    return {name: model for name, model in models.items() if model.__module__.startswith("collector.")}


CONTROLLERS, CHANNELS = shipped(controller_settings()), shipped(channel_settings())


@pytest.fixture(scope="module")
def keys() -> set[str]:
    """Every key that the example shows, as `owner.key`; an endpoint's owner is its type."""
    return set(shown_keys(read(EXAMPLE).data, ()))


def shown_keys(data: object, above: tuple[str, ...]) -> Iterator[str]:
    if isinstance(data, list):
        for item in data:
            yield from shown_keys(item, above)
    elif isinstance(data, dict):
        owner = str(data.get("type", f"{above[0]}[]" if len(above) == 2 else "top"))
        for key, value in data.items():
            yield f"{owner}.{key}"
            yield from shown_keys(value, (*above, key))


def test_is_accepted_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HC_CASES", raising=False)
    loaded = load(EXAMPLE, controllers=CONTROLLERS, channels=CHANNELS)
    assert loaded.cases == TOP / "cases"
    assert [endpoint.type for endpoint in loaded.hosts["db01"].controllers] == ["ipmi"]


def test_agrees_with_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(schema(CONTROLLERS, CHANNELS))
    validator.validate(read(EXAMPLE).data)


def test_names_its_schema_for_editors() -> None:
    first = EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/config.schema.json"
    assert (EXAMPLE.parent / first.partition("=")[2]) == SCHEMA


def test_the_written_schema_is_in_step() -> None:
    written = SCHEMA.read_text(encoding="utf-8")
    assert written == as_text(CONTROLLERS, CHANNELS), (
        "run: hang-collector config schema > docs/config.schema.json"
    )


def test_shows_every_key_there_is(keys: set[str]) -> None:
    models: dict[str, type[BaseModel]] = {
        "top": SettingsFile,
        "credentials[]": CredentialEntry,
        "hosts[]": HostEntry,
        **CONTROLLERS,
        **CHANNELS,
    }
    there_are = {f"{owner}.{key}" for owner, model in models.items() for key in model.model_fields}
    # A scripted machine has no address and no login of its own, and QMP knows no login.
    assert there_are - keys - {"fake.address", "fake.credential", "qmp.credential"} == set()
