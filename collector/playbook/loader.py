"""Find and read playbooks: those that are shipped, and the user's own, which win by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collector.config.document import read
from collector.config.validation import validate
from collector.errors import ConfigError, PlaybookError
from collector.playbook.schema import Playbook


@dataclass(frozen=True, slots=True)
class PlaybookFile:
    """A playbook, the file it was read from, and the shipped file of the same name that it hides."""

    playbook: Playbook
    path: Path
    hides: Path | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        if self.hides is not None:
            return f"{self.path}, in place of the shipped one"
        return "shipped" if self.path.parent == shipped_folder() else str(self.path)


def shipped_folder() -> Path:
    """The folder of the shipped playbooks: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "playbooks"
    return inside if inside.is_dir() else package.parent / "playbooks"


def load(path: Path) -> Playbook:
    """Read one playbook.

    Raises:
        PlaybookError: the file cannot be read or is not a valid playbook; every problem with its line.
    """
    try:
        document = read(path)
    except ConfigError as error:
        raise PlaybookError(error.message, hint=error.hint) from error
    playbook = None if document.data is None else validate(Playbook, document)
    if playbook is not None and playbook.name != path.stem:
        document.blame_value(("name",), f"the file is named {path.name}, so this must be {path.stem}")
    if playbook is None or document.problems:
        raise PlaybookError(
            document.account(),
            hint="`hang-collector playbook show linux-kdump` prints one that is; "
            "`hang-collector playbook schema` is for your editor.",
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
        raise PlaybookError(f"there is no folder {folder}", hint="Correct `playbooks` in the settings file.")
    if wrong := sorted(folder.glob("*.yml")):
        raise PlaybookError(f"{wrong[0]}: a playbook's file name ends in .yaml", hint="Rename the file.")
    return sorted(folder.glob("*.yaml"))
