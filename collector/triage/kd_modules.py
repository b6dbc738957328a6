"""Modules: `lm`, `lmv`, the list of unloaded ones, the header of an image (`!dh`).

Source: Microsoft, "lm (List Loaded Modules)", "!dh".
"""

from __future__ import annotations

import re
from typing import Any

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.machine import Module
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

_ROW = re.compile(rf"\s*({HEX})\s+({HEX})\s+(\S+)(?:\s+(.*))?$")
_FIELD = re.compile(r"\s+([A-Z][A-Za-z ]+?):\s+(\S.*)")
_FIELDS = {
    "Image name": "image",
    "Timestamp": "timestamp",
    "File version": "file_version",
    "FileVersion": "file_version",
    "Product version": "product_version",
    "ProductVersion": "product_version",
    "CompanyName": "company",
    "FileDescription": "description",
}
_IMAGE_SUFFIXES = (".sys", ".dll", ".exe", ".drv", ".ocx")
_DH_COMMAND = re.compile(r"!dh (?:-\w+ )?(?:0x)?([0-9a-fA-F][0-9a-fA-F`]{7,16})")
_PDB = "Format: "  # of the debug directory's entry: NB10 or RSDS, with the path of the PDB
_PATH_PARTS = re.compile(r"[\\/,]")
_TIME_STAMP = re.compile(r"\s*[0-9A-F]{1,8} time date stamp (\S.*)")


def read_modules(lines: Lines, gathered: Gathered) -> None:
    """Read the rows of `lm`, with the fields that `lmv` puts below each."""
    unloaded = False
    fields: dict[str, Any] = {}
    line = lines.line
    while line is not None:
        if line.startswith("Unloaded modules"):
            unloaded = True
        elif row := _ROW.match(line):
            _keep(fields, gathered)
            name, suffix = _name_and_image(row[3])
            fields = {
                "line": lines.number,
                "name": gathered.shared(name),
                "start": address(row[1]),
                "end": address(row[2]),
                "image": suffix,
                "unloaded": unloaded,
            }
        elif fields and (found := _FIELD.match(line)) and found[1] in _FIELDS:
            fields.setdefault(_FIELDS[found[1]], "")
            fields[_FIELDS[found[1]]] = fields[_FIELDS[found[1]]] or gathered.shared(found[2].strip())
        line = lines.advance()
        if line is not None and (following := opening(line)) and following["modules"] is None:
            break
    _keep(fields, gathered)


def _name_and_image(text: str) -> tuple[str, str]:
    """Part "MyAVDrv.sys", as unloaded modules are listed, from "nt", as loaded ones are."""
    stem, dot, _ = text.rpartition(".")
    return (stem, text) if dot and text.lower().endswith(_IMAGE_SUFFIXES) else (text, "")


def _keep(fields: dict[str, Any], gathered: Gathered) -> None:
    if fields:
        gathered.add("modules", Module(**fields))


def read_image_header(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!dh`: the PDB's name tells what a module without symbols is."""
    number = lines.number
    timestamp = ""
    while (line := lines.advance()) is not None and not opening(line):
        if stamp := _TIME_STAMP.match(line):
            timestamp = stamp[1].strip()
        elif name := _pdb_name(line):
            start = _DH_COMMAND.match(gathered.command)
            gathered.add(
                "modules",
                Module(
                    number,
                    name=name,
                    start=address(start[1]) if start else None,
                    timestamp=timestamp,
                    pdb=f"{name}.pdb",
                ),
            )


def _pdb_name(line: str) -> str:
    entry = line.partition(_PDB)[2]
    path, suffix, _ = entry.rpartition(".pdb")
    return _PATH_PARTS.split(path)[-1].strip() if suffix and entry.startswith(("NB10", "RSDS")) else ""
