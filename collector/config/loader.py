"""Load a settings file into frozen settings, or refuse it with everything that is wrong in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from collector.config.document import Document, Location, read
from collector.config.frame import HostEntry, SettingsFile
from collector.config.settings import EndpointModels, Settings
from collector.config.validation import did_you_mean, validate
from collector.errors import ConfigError
from collector.model.host import Endpoint, Host


def load(path: Path, *, controllers: EndpointModels, channels: EndpointModels) -> Settings:
    """Read and check the settings file at `path`. `HC_CASES` in the environment wins over its `cases`.

    Args:
        path: the file; relative paths in it are meant from its folder.
        controllers: the endpoint models that may stand under `controllers` of a host.
        channels: the endpoint models that may stand under `channels` of a host.

    Raises:
        ConfigError: the file cannot be read, or is wrong; the message lists every problem with its line.
    """
    document = read(path)
    file, endpoints = None, {}
    if document.data is not None:
        file = validate(SettingsFile, document)
        endpoints = _endpoints(document, {"controllers": controllers, "channels": channels})
    if file is None or document.problems:
        raise _refusal(document)
    base = path.absolute().parent
    return Settings(
        path=path.absolute(),
        cases=_cases(file, base),
        playbooks=None if file.playbooks is None else _resolve(file.playbooks, base),
        credentials=MappingProxyType(
            {name: entry.credential(name, base) for name, entry in file.credentials.items()}
        ),
        hosts=MappingProxyType(
            {name: _host(name, entry, endpoints, base) for name, entry in file.hosts.items()}
        ),
    )


def _cases(file: SettingsFile, base: Path) -> Path:
    from_environment = os.environ.get("HC_CASES")
    return _resolve(Path(from_environment), Path.cwd()) if from_environment else _resolve(file.cases, base)


def _endpoints(document: Document, kinds: Mapping[str, EndpointModels]) -> dict[Location, Endpoint]:
    """Check every endpoint by the model of its type. Problems are noted in `document`."""
    found = {}
    for location in _endpoint_locations(document.data, kinds):
        model = _model(document, location, kinds)
        endpoint = validate(model, document, location) if model else None
        if endpoint is not None:
            _check_credential(document, location, endpoint)
            found[location] = endpoint
    return found


def _endpoint_locations(data: object, kinds: Mapping[str, EndpointModels]) -> Iterator[Location]:
    """Every endpoint that the file holds; what has the wrong shape is passed by, for it is noted already."""
    hosts = data.get("hosts") if isinstance(data, dict) else None
    for name, host in hosts.items() if isinstance(hosts, dict) else ():
        for kind in kinds:
            entries = host.get(kind) if isinstance(host, dict) else None
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                if isinstance(entry, dict):
                    yield ("hosts", name, kind, index)


def _model(
    document: Document, location: Location, kinds: Mapping[str, EndpointModels]
) -> type[Endpoint] | None:
    _, name, kind, index = location
    entry = document.data["hosts"][name][kind][index]
    models = kinds[str(kind)]
    if "type" not in entry:
        document.blame_key(location, f"the key `type` is missing{did_you_mean(None, models)}")
        return None
    wanted = entry["type"]
    if isinstance(wanted, str) and wanted in models:
        return models[wanted]
    for other, others in kinds.items():
        if isinstance(wanted, str) and wanted in others:
            document.blame_value(
                (*location, "type"), f"`{wanted}` belongs under `{other}`, not under `{kind}`"
            )
            return None
    document.blame_value((*location, "type"), f"unknown type{did_you_mean(wanted, models)}")
    return None


def _check_credential(document: Document, location: Location, endpoint: Endpoint) -> None:
    known = document.data.get("credentials")
    known = known if isinstance(known, dict) else {}
    if endpoint.credential is not None and endpoint.credential not in known:
        document.blame_value(
            (*location, "credential"),
            f"no entry under `credentials` has this name{did_you_mean(endpoint.credential, known)}",
        )


def _host(name: str, entry: HostEntry, endpoints: Mapping[Location, Endpoint], base: Path) -> Host:
    def complete(kind: str, count: int) -> tuple[Endpoint, ...]:
        found = (endpoints["hosts", name, kind, index] for index in range(count))
        return tuple(_complete(endpoint, entry.address, base) for endpoint in found)

    return Host(
        name=name,
        platform=entry.platform,
        address=entry.address,
        controllers=complete("controllers", len(entry.controllers)),
        channels=complete("channels", len(entry.channels)),
        tags=entry.tags,
    )


def _complete(endpoint: Endpoint, address: str, base: Path) -> Endpoint:
    """The endpoint with the host's address where it has none of its own, and with absolute paths."""
    paths = {name: _resolve(value, base) for name, value in endpoint if isinstance(value, Path)}
    return endpoint.model_copy(update={**paths, "address": endpoint.address or address})


def _resolve(path: Path, base: Path) -> Path:
    """The absolute path that is meant in a file of the folder `base`; it may be written `file:PATH`."""
    written = Path(str(path).removeprefix("file:"))
    with contextlib.suppress(RuntimeError):  # `~name` of nobody stays what it is, as in a shell
        written = written.expanduser()
    return base / written


def _refusal(document: Document) -> ConfigError:
    return ConfigError(
        document.account(),
        hint="Correct the file, then run `hang-collector config check`. "
        "config.example.yaml shows every key; `hang-collector config schema` is for your editor.",
    )
