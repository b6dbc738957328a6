"""Find and read playbooks: those that are shipped, and the user's own, which win by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from collector.errors import PlaybookError
from collector.playbook.schema import Playbook

_HINT = "compare with a shipped playbook: hang-collector playbook show linux-kdump-via-ipmi"


@dataclass(frozen=True, slots=True)
class PlaybookFile:
    """A playbook, the file it was read from, and the shipped file of the same name that it hides."""

    playbook: Playbook
    path: Path
    hides: Path | None = None


def shipped_folder() -> Path:
    """The folder of the shipped playbooks: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "playbooks"
    return inside if inside.is_dir() else package.parent / "playbooks"


def load(path: Path) -> Playbook:
    """Read one playbook.

    Raises:
        PlaybookError: the file cannot be read or is not a valid playbook.
    """
    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        playbook = Playbook.model_validate(document)
    except (OSError, UnicodeDecodeError, YAMLError, ValidationError) as error:
        raise PlaybookError(f"{path}: {error}", hint=_HINT) from error
    if playbook.name != path.stem:
        raise PlaybookError(
            f"{path}: the playbook is named {playbook.name!r} and its file {path.name!r}",
            hint=f"rename the file to {playbook.name}.yaml, or the playbook to {path.stem}",
        )
    return playbook


def load_all(folder: Path | None = None) -> tuple[PlaybookFile, ...]:
    """All playbooks by name: the shipped ones, and those of the user's folder, which win.

    Raises:
        PlaybookError: one of them is wrong. A run never goes on with the rest, which might then fit.
    """
    found = {path.stem: PlaybookFile(load(path), path) for path in _files(shipped_folder())}
    if folder is not None:
        for path in _files(folder):
            hidden = found.get(path.stem)
            found[path.stem] = PlaybookFile(load(path), path, hides=hidden.path if hidden else None)
    return tuple(found[name] for name in sorted(found))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PlaybookError(f"there is no folder {folder}", hint="correct `playbooks` in the settings file")
    if wrong := sorted(folder.glob("*.yml")):
        raise PlaybookError(f"{wrong[0]}: a playbook's file name ends in .yaml", hint="rename the file")
    return sorted(folder.glob("*.yaml"))
