"""A vCenter that somebody else wrote: govmomi's simulator, in Go, with SendNMI and with trouble on demand.

It shares no code with `VsphereDouble`, nor with pyVmomi. It is as old as the package (vSphere 6.5), knows
no screenshots, ends every task within the call, and writes snapshots without any memory in them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import os
import ssl
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from filelock import FileLock

from tests.peers.certificate import make_certificate
from tests.peers.server import running, tool
from tests.peers.soap_server import ADDRESS, Rule
from tests.peers.vsphere import Peer
from tests.peers.vsphere_double import PASSWORD, USER

HERE = Path(__file__).parent
CACHE = HERE.parent / "out"
GOPATH = Path("/usr/share/gocode")
PACKAGE = "golang-github-vmware-govmomi-dev"
MACHINE = "DC0_H0_VM0"
"""One of the four machines that it starts with, on a host of its own; two are in a cluster."""

ON_ESXI = "ha-host_VM0"
"""One of the two machines of an ESXi host."""

DATASTORE = "LocalDS_0"
"""The name of its only datastore."""

BUILD_S = 600
"""Seconds for a test that may have to build it first: 40 s on two quiet cores."""


@dataclass(frozen=True, slots=True)
class Govmomi:
    """It serves; `USER` and `PASSWORD` may log in. `datastore` is the folder that holds its files."""

    port: int
    control: int
    certificate: Path
    datastore: Path

    def rules(self, rules: Mapping[str, Rule]) -> None:
        """From now on make this trouble, by the method's name on the wire; other rules are forgotten."""
        told = {
            method: {
                "Trouble": str(rule.trouble),
                "Seconds": rule.seconds,
                "Times": -1 if rule.times == math.inf else int(rule.times),
                "Fault": type(rule.fault).__name__.rpartition(".")[2],
            }
            for method, rule in rules.items()
        }
        self._ask("rules", json.dumps(told).encode())

    @property
    def calls(self) -> Counter[str]:
        """How often each method was called, or each path asked for."""
        return Counter(self._seen()["calls"])

    @property
    def acts(self) -> Counter[str]:
        """How often the simulator was given each of them: calls, without those that a rule kept from it."""
        return Counter(self._seen()["acts"])

    def nmis(self) -> int:
        """How many NMIs took effect, on all machines."""
        return sum(self._seen()["nmis"].values())

    @property
    def snapshots(self) -> Counter[str]:
        """How many snapshots of each name there are, on all machines."""
        return Counter(self._seen()["snapshots"])

    def tag(self, category: str, name: str, *objects: tuple[str, str]) -> None:
        """Attach a tag, made for it, to objects by their types and ids; a new category is made, too."""
        token = self._rest("POST", "session")
        categories = self._rest("GET", "tagging/category", token) or []
        names = {self._rest("GET", f"tagging/category/id:{each}", token)["name"]: each for each in categories}
        owner = names.get(category)
        if owner is None:
            spec = {"name": category, "description": "", "cardinality": "MULTIPLE", "associable_types": []}
            owner = self._rest("POST", "tagging/category", token, {"create_spec": spec})
        spec = {"name": name, "description": "", "category_id": owner}
        made = self._rest("POST", "tagging/tag", token, {"create_spec": spec})
        for kind, moid in objects:
            body = {"object_id": {"type": kind, "id": moid}}
            self._rest("POST", f"tagging/tag-association/id:{made}?~action=attach", token, body)
        self._rest("DELETE", "session", token)

    def _rest(self, method: str, path: str, token: str = "", body: object = None) -> Any:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"vmware-api-session-id": token} if token else {"Authorization": f"Basic {login}"}
        url = f"https://{ADDRESS}:{self.port}/rest/com/vmware/cis/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        context = ssl.create_default_context(cafile=str(self.certificate))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.loads(answer.read() or b"{}").get("value")

    def _seen(self) -> dict[str, dict[str, int]]:
        seen: dict[str, dict[str, int]] = json.loads(self._ask("seen"))
        return seen

    def _ask(self, what: str, body: bytes | None = None) -> bytes:
        method = "GET" if body is None else "PUT"
        request = urllib.request.Request(f"http://{ADDRESS}:{self.control}/{what}", body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def govmomi(folder: Path, *, esxi: bool = False) -> Iterator[Govmomi]:
    """Run it for the length of the block; skip the test, saying what is missing, if that cannot be."""
    binary = build()
    certificate = make_certificate(folder / "govmomi.pem", address=ADDRESS)
    ready, log = folder / "govmomi.json", folder / "govmomi.log"
    command = [
        binary, "-address", ADDRESS, "-certificate", certificate, "-ready", ready,
        "-user", USER, "-password", PASSWORD, f"-esxi={str(esxi).lower()}",
    ]  # fmt: skip
    with running(command, log, env={"TMPDIR": str(folder)}) as process:
        end = time.monotonic() + 30.0
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"govmomi's simulator does not serve: {log.read_text()[-1000:]}")
            time.sleep(0.02)
        ports = json.loads(ready.read_text())
        (datastore,) = folder.glob(f"govcsim-*-{DATASTORE}-*")
        yield Govmomi(ports["port"], ports["control"], certificate, datastore)


def ask(peer: Peer, vm: str) -> dict[str, Any]:
    """What govmomi's own client, which sends one NMI and takes one snapshot, reads of a machine there."""
    where = f"https://{quote(USER)}:{quote(PASSWORD)}@{ADDRESS}:{peer.port}/sdk"
    command = [build(HERE / "client"), "-url", where, "-ca", peer.certificate, "-vm", vm]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def build(folder: Path = HERE) -> Path:
    """The program of a folder, from the cache if its sources are unchanged.

    Parallel tests wait for whoever builds it.
    """
    go = tool("go", package="golang-go")
    package = GOPATH / "src/github.com/vmware/govmomi/simulator"
    if not package.exists():
        pytest.skip(f"peer missing: {package} (Debian package {PACKAGE})")
    sources = sorted(folder.glob("*.go"))
    recipe = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    binary = CACHE / f"go-{folder.name}-{recipe}"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "go.lock"):
        if not binary.exists():
            for old in CACHE.glob(f"go-{folder.name}-*"):
                old.unlink()
            _compile(go, sources, binary)
    return binary


def _compile(go: str, sources: list[Path], binary: Path) -> None:
    """With Debian's packages alone: nothing is fetched."""
    part, cache = CACHE / "go.part", CACHE / "go-build"
    settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(cache), "GOFLAGS": ""}
    done = subprocess.run(
        [go, "build", "-ldflags", "-s -w", "-o", part, *sources],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the Go sources do not build: {done.stderr[-2000:]}")
    part.rename(binary)
