from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from collector.config.document import read
from collector.config.json_schema import schema
from collector.config.loader import load
from tests.unit.config.endpoints import CHANNELS, CONTROLLERS
from tests.unit.config.test_loader import GOLDEN, WHOLE

# What a schema cannot say: names that must exist elsewhere in the file, and YAML itself.
BEYOND_A_SCHEMA = {
    "unknown-credentials",
    "credentials",
    "doubled-keys",
    "aliases",
    "undefined-alias",
    "tab",
    "tags",
    "two-documents",
    "empty",
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    built = schema(CONTROLLERS, CHANNELS)
    jsonschema.Draft202012Validator.check_schema(built)
    return jsonschema.Draft202012Validator(built)


def test_accepts_what_the_loader_accepts(validator: jsonschema.Draft202012Validator, tmp_path: Path) -> None:
    path = tmp_path / "hang-collector.yaml"
    path.write_text(WHOLE)
    load(path, controllers=CONTROLLERS, channels=CHANNELS)
    validator.validate(read(path).data)


@pytest.mark.parametrize("name", sorted({path.stem for path in GOLDEN.glob("*.yaml")} - BEYOND_A_SCHEMA))
def test_refuses_what_the_loader_refuses(name: str, validator: jsonschema.Draft202012Validator) -> None:
    assert not validator.is_valid(read(GOLDEN / f"{name}.yaml").data)


def test_every_key_is_described() -> None:
    """An editor shows the description where the key is written."""
    built = schema({}, {})
    models: dict[str, Any] = {"top": built, **built["$defs"]}
    undescribed = [
        f"{model}.{key}"
        for model, definition in models.items()
        for key, value in definition.get("properties", {}).items()
        if "description" not in value
    ]
    assert undescribed == []
