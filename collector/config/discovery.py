"""Which settings file is meant: the first of several places that has one."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from platformdirs import site_config_path, user_config_path

from collector.errors import ConfigError

FILE_NAME = "hang-collector.yaml"


def places() -> tuple[Path, ...]:
    """Where a settings file is looked for when none was named, the first one found wins."""
    system = [site_config_path("hang-collector", appauthor=False)]
    if sys.platform != "win32":
        system.insert(0, Path("/etc/hang-collector"))
    folders = [Path(), user_config_path("hang-collector", appauthor=False), *system]
    return tuple(folder / FILE_NAME for folder in folders)


def search(named: Path | None = None) -> Path | None:
    """The settings file: `named` (the flag), else `HC_CONFIG`, else the first of `places()` that exists.

    Raises:
        ConfigError: it lies in the current folder, and anybody may have put it there.
    """
    if named is not None:
        return named
    if from_environment := os.environ.get("HC_CONFIG"):
        return Path(from_environment).expanduser()
    for place in places():
        if place.is_file():
            if place.parent == Path():
                _refuse_open_folder(place)
            return place
    return None


def locate(named: Path | None = None) -> Path:
    """The settings file, by the rules of `search`, where one is needed.

    Raises:
        ConfigError: there is none, or it lies in the current folder and anybody may have put it there.
    """
    if (found := search(named)) is not None:
        return found
    raise ConfigError(
        "there is no settings file",
        hint="Write one from config.example.yaml, to one of: "
        + ", ".join(str(place) for place in places())
        + "; or name it with --config or HC_CONFIG.",
    )


def _refuse_open_folder(place: Path) -> None:
    """Refuse a file that was found by chance where anybody may write, such as /tmp.

    A stranger's file could send our passwords to an address of the stranger.
    """
    if sys.platform != "win32" and place.absolute().parent.stat().st_mode & stat.S_IWOTH:
        raise ConfigError(
            f"{place} is in a folder that anybody may write to, so it may be anybody's",
            hint=f"If it is yours, name it: --config ./{place}",
        )
