"""Facts that were read while a host still answered, kept for the night it does not."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from collector.errors import StorageError
from collector.model.fact import Fact, Facts


def record(cases: Path, host: str, facts: Facts) -> None:
    """Keep `facts` as the last known ones of `host`, under the folder of cases; others stay as they were.

    Raises:
        StorageError: they could not be written.
    """
    rows = [
        {
            "name": f.name,
            "value": f.value,
            "source": f.source,
            "time": f.time.isoformat(),
            "missing": f.missing,
        }
        for f in {**recorded(cases, host), **facts}.values()
    ]
    folder = cases / ".facts"
    part = folder / f"{host}.json.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        part.replace(folder / f"{host}.json")
    except OSError as error:
        raise StorageError(
            f"the facts of the host could not be recorded in {folder}: {error.strerror}",
            hint="Free space there, or correct `cases` in the settings file.",
            host=host,
        ) from error


def recorded(cases: Path, host: str) -> Facts:
    """The last known facts of `host`; none when there never were any, or the record is unreadable."""
    try:
        rows = json.loads((cases / ".facts" / f"{host}.json").read_text(encoding="utf-8"))
        return {
            row["name"]: Fact(
                row["name"], row["value"], row["source"], datetime.fromisoformat(row["time"]), row["missing"]
            )
            for row in rows
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        # A record that cannot be read is the same as none: every rule that needs it says UNKNOWN.
        return {}
