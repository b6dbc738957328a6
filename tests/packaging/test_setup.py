"""`scripts/setup` in a checkout of its own, with stand-ins for the programs of the system."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "dirname", "grep", "sed", "sha256sum")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts/setup is for POSIX systems")


class Checkout:
    """A checkout, and a PATH with nothing on it but what a test put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.path = folder / "bin"
        self.path.mkdir()
        shutil.copytree(REPOSITORY / "scripts", self.folder / "scripts")
        shutil.copy(REPOSITORY / "pyproject.toml", self.folder)
        for name in TOOLS:
            (self.path / name).symlink_to(str(shutil.which(name)))
        self.program("id", "echo 1000")

    def program(self, name: str, script: str) -> None:
        file = self.path / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def python(self) -> None:
        """A Python that makes an empty venv, and whose pip notes what it was asked to install."""
        venv = self.folder / ".venv" / "bin"
        self.program("mkdir", f'exec {shutil.which("mkdir")} "$@"')
        self.program("cp", f'exec {shutil.which("cp")} "$@"')
        self.program(
            "python3",
            f'case "$*" in *"-m venv"*) mkdir -p {venv}; cp {self.path}/python3 {venv}/python;; '
            f'*"pip install"*" -e "*) echo "$@" >> {self.folder}/installed;; '
            f'*"pip --version"*) [ -e {venv}/python ];; esac',
        )

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "scripts" / "setup", *arguments],
            env={"PATH": str(self.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def installed(self) -> list[str]:
        file = self.folder / "installed"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_system_without_a_python_that_is_new_enough_is_told(checkout: Checkout) -> None:
    checkout.program("python3", "exit 1")
    done = checkout.setup("run")
    assert done.returncode == 1
    assert "no Python 3.11 or newer found" in done.stderr


def test_a_missing_venv_module_is_told_with_its_package(checkout: Checkout) -> None:
    checkout.program("python3", 'case "$*" in *ensurepip*) exit 1;; *print*) echo python3.11-venv;; esac')
    done = checkout.setup("run")
    assert done.returncode == 1
    assert "python3.11-venv" in done.stderr


def test_the_tool_itself_needs_no_packages_of_the_system(checkout: Checkout) -> None:
    checkout.python()
    checkout.program("dpkg-query", "exit 1")
    done = checkout.setup("run")
    assert (done.returncode, done.stderr.count("setup:")) == (0, 1)
    assert [line.split()[-1] for line in checkout.installed()] == ["."]


def test_missing_packages_are_named_and_do_not_stop_the_setup(checkout: Checkout) -> None:
    checkout.python()
    checkout.program("dpkg-query", 'case "$*" in *samba*) exit 1;; esac; echo install ok installed')
    done = checkout.setup("dev")
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].endswith("skipped: samba")
    assert [line.split()[-1] for line in checkout.installed()] == [".[dev]"]


def test_a_second_run_does_nothing(checkout: Checkout) -> None:
    checkout.python()
    checkout.setup("dev")
    for again in ("dev", "run"):
        done = checkout.setup(again)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(checkout.installed()) == 1


def test_a_changed_dependency_is_installed_anew(checkout: Checkout) -> None:
    checkout.python()
    checkout.setup("dev")
    with (checkout.folder / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    checkout.setup("dev")
    assert len(checkout.installed()) == 2


def test_a_failed_installation_is_tried_again(checkout: Checkout) -> None:
    checkout.python()
    venv_python = checkout.path / "python3"
    working = venv_python.read_text()
    venv_python.write_text(working.replace('*" -e "*) ', '*" -e "*) exit 1; '))
    assert checkout.setup("run").returncode != 0
    shutil.rmtree(checkout.folder / ".venv")
    venv_python.write_text(working)
    assert checkout.setup("run").returncode == 0
    assert len(checkout.installed()) == 1


def test_an_unknown_word_is_a_usage_error(checkout: Checkout) -> None:
    assert checkout.setup("everything").returncode == 64


def test_every_package_that_a_test_asks_for_is_installed_by_the_setup() -> None:
    peers = (REPOSITORY / "scripts" / "peers.txt").read_text()
    packages = {line.strip() for line in peers.splitlines() if line and not line.startswith("#")}
    asked = {
        name
        for file in (REPOSITORY / "tests").rglob("*.py")
        for name in re.findall(r'package="([a-z0-9][a-z0-9.+-]*)"', file.read_text(encoding="utf-8"))
    }
    assert asked
    assert asked <= packages
