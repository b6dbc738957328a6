from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from collector.playbook.loader import shipped_folder

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout without network and unpacked as an installation would be."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, REPOSITORY]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    package = REPOSITORY / "collector"
    files = {
        path.relative_to(REPOSITORY)
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert Path("collector/py.typed") in files
    assert files <= {path.relative_to(installed) for path in installed.rglob("*")}


def test_the_wheel_holds_the_playbooks_without_their_tests(installed: Path) -> None:
    held = {path.name for path in (installed / "collector" / "playbooks").rglob("*")}
    assert held == {path.name for path in shipped_folder().glob("*.yaml")}


def test_an_installation_finds_the_playbooks_it_brought(installed: Path, tmp_path: Path) -> None:
    script = "from collector.playbook.loader import load_all; print(*(f.path for f in load_all()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    paths = [Path(word) for word in done.stdout.split()]
    assert paths
    assert all(path.is_relative_to(installed) for path in paths)
