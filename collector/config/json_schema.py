"""The JSON Schema of the settings file, for editors and for other programs that write it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from collector.config.frame import HostEntry, SettingsFile
from collector.config.settings import EndpointModels

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(controllers: EndpointModels, channels: EndpointModels) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a settings file whose endpoints are of the given models, by `type`."""
    kinds = {"controllers": controllers, "channels": channels}
    models: list[type[BaseModel]] = [SettingsFile, HostEntry, *controllers.values(), *channels.values()]
    references, whole = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    definitions = whole["$defs"]
    for kind, types in kinds.items():
        definitions[HostEntry.__name__]["properties"][kind]["items"] = {
            "oneOf": [references[model, "validation"] for model in types.values()],
            "discriminator": {"propertyName": "type"},
        }
    for name, model in (*controllers.items(), *channels.items()):
        # The loader chooses the model by `type`, so the file must hold it even where the model has a default.
        endpoint = definitions[references[model, "validation"]["$ref"].rpartition("/")[2]]
        endpoint["properties"]["type"] |= {"const": name}
        endpoint["required"] = ["type", *(key for key in endpoint.get("required", []) if key != "type")]
    top = definitions.pop(SettingsFile.__name__)
    return {"$schema": DIALECT, **top, "$defs": definitions}


def as_text(controllers: EndpointModels, channels: EndpointModels) -> str:
    """The schema as the JSON text that `config schema` prints and docs/config.schema.json holds."""
    return json.dumps(schema(controllers, channels), indent=2) + "\n"
