"""The lab host's files. They are in memory, so no path can lead out of them, on any operating system."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable
from dataclasses import dataclass

Content = bytes | Callable[[], bytes]
"""What a file holds; a function is called at each reading, as the kernel does for /proc."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder. `modified` is seconds since the epoch; `size` is in bytes."""

    name: str
    is_folder: bool
    size: int
    modified: float
    mode: int


@dataclass(frozen=True, slots=True)
class _File:
    content: Content
    modified: float
    mode: int

    def read(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content()


class Tree:
    """Files by absolute path; the folders are those that the paths name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._false_names: dict[str, list[Entry]] = {}
        self._lock = threading.Lock()

    def put(self, path: str, content: Content, modified: float, mode: int = 0o644) -> None:
        """Write a file; one that is there is replaced."""
        with self._lock:
            self._files[path] = _File(content, modified, mode)

    def put_false_name(self, folder: str, entry: Entry) -> None:
        """Let the folder's listing hold an entry whose name no honest server would send."""
        with self._lock:
            self._false_names.setdefault(folder, []).append(entry)

    def read(self, path: str) -> bytes:
        """Return what the file holds. Raises: FileNotFoundError, IsADirectoryError."""
        path = resolve(path)
        with self._lock:
            file = self._files.get(path)
        if file is None:
            if self.stat(path).is_folder:
                raise IsADirectoryError(path)
            raise FileNotFoundError(path)
        return file.read()

    def stat(self, path: str) -> Entry:
        """Return what the path is. Raises: FileNotFoundError."""
        path = resolve(path)
        with self._lock:
            file = self._files.get(path)
            inside = [
                f.modified for name, f in self._files.items() if name.startswith(path.rstrip("/") + "/")
            ]
        name = posixpath.basename(path) or "/"
        if file is not None:
            return Entry(name, False, len(file.read()), file.modified, file.mode)
        if inside:
            return Entry(name, True, 4096, max(inside), 0o755)
        raise FileNotFoundError(path)

    def list(self, folder: str) -> list[Entry]:
        """Return the folder's entries by name, the false ones last. Raises: FileNotFoundError."""
        folder = resolve(folder)
        if not self.stat(folder).is_folder:
            raise NotADirectoryError(folder)
        prefix = folder.rstrip("/") + "/"
        with self._lock:
            paths = [path for path in self._files if path.startswith(prefix)]
            false_names = list(self._false_names.get(folder, ()))
        names = sorted({path.removeprefix(prefix).partition("/")[0] for path in paths})
        return [self.stat(prefix + name) for name in names] + false_names


def resolve(path: str) -> str:
    """Return the absolute path without `.` and `..`, as a server would; the root has no parent."""
    return posixpath.normpath("//" + path).replace("//", "/")
