"""Copy one file over SSH on loopback: our reader against OpenSSH's sftp and paramiko's own get.

    python bench/retrieve.py [MEBIBYTES] [ROUNDS]

Every round runs all of them, one after the other, each in a process of its own. Ours writes the file and
hashes it with SHA-256 in a thread beside; the others only write it. Wall and client CPU (user and system) are
medians in seconds; RSS is the peak in MiB above a bare interpreter.
"""

from __future__ import annotations

import hashlib
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the test's servers, which main imports

MIB = 1024 * 1024
CIPHER = "aes128-gcm@openssh.com"
REFERENCE = "OpenSSH sftp get"


@dataclass(frozen=True)
class Server:
    port: int
    user: str
    private_key: Path
    known_hosts: Path


def ours(server: Server, source: Path, target: Path) -> str:
    from collector.adapters.limits import Deadline
    from collector.adapters.ssh import SshChannel, SshEndpoint
    from collector.model.host import Credential, SecretRef

    waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=16)
    digest = hashlib.sha256()

    def hash_along() -> None:
        while (piece := waiting.get()) is not None:
            digest.update(piece)

    hasher = threading.Thread(target=hash_along)
    hasher.start()
    key = SecretRef("file", str(server.private_key), Path())
    endpoint = SshEndpoint(address="127.0.0.1", port=server.port, known_hosts=server.known_hosts)
    channel = SshChannel(
        endpoint, Credential("oncall", username=server.user, private_key=key), Deadline.after(30)
    )
    with channel, target.open("wb") as file:
        for chunk in channel.read(str(source), 0, 60.0):
            waiting.put(chunk)
            file.write(chunk)
    waiting.put(None)
    hasher.join()
    return digest.hexdigest()


def paramiko_get(server: Server, source: Path, target: Path) -> str:
    import paramiko

    with paramiko.Transport(("127.0.0.1", server.port)) as transport:
        options = transport.get_security_options()
        options.ciphers = (CIPHER, *(name for name in options.ciphers if name != CIPHER))
        key = paramiko.Ed25519Key.from_private_key_file(str(server.private_key))
        transport.connect(username=server.user, pkey=key)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        client.get(str(source), str(target))
    return ""


@dataclass
class Result:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)


def measure(command: list[str], result: Result, *, quiet: bool = False) -> str:
    """Run `command`, and note what it and its children cost; return its output. `quiet` hides its errors."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    result.wall.append(time.perf_counter() - start)
    result.cpu.append(usage.ru_utime + usage.ru_stime)
    result.rss.append(usage.ru_maxrss / 1024)
    return said


def main(mebibytes: int = 512, rounds: int = 5) -> None:
    from tests.peers.server import tool
    from tests.peers.sshd import sshd

    with tempfile.TemporaryDirectory(dir="/dev/shm") as name, sshd(Path(name, "sshd")) as server:
        source, target = Path(name, "source"), Path(name, "target")
        with source.open("wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(MIB))
        ssh_options = ["-q", "-P", str(server.port), "-i", str(server.private_key), "-o", f"Ciphers={CIPHER}",
                       "-o", f"UserKnownHostsFile={server.known_hosts}"]  # fmt: skip
        python = [sys.executable, __file__]
        places = [
            str(server.port),
            str(server.private_key),
            str(server.known_hosts),
            str(source),
            str(target),
        ]
        commands = {
            REFERENCE: [tool("sftp", package="openssh-client"), *ssh_options,
                        f"{server.user}@127.0.0.1:{source}", str(target)],
            "hang-collector + SHA-256": [*python, "ours", *places],
            "paramiko get": [*python, "paramiko_get", *places],
        }  # fmt: skip
        bare = Result()
        measure([sys.executable, "-c", "pass"], bare)
        results = {label: Result() for label in commands}
        for round_ in range(rounds):
            for label, command in commands.items():
                if label == "paramiko get" and round_:
                    continue  # once is enough to see it
                target.unlink(missing_ok=True)
                measure(command, results[label])
                if round_ == 0:
                    subprocess.run([tool("cmp", package="diffutils"), source, target], check=True)
        show(results, mebibytes, bare.rss[0])


def show(results: dict[str, Result], mebibytes: int, bare: float, reference_label: str = REFERENCE) -> None:
    reference = results[reference_label]
    wall, cpu = statistics.median(reference.wall), statistics.median(reference.cpu)
    print(f"{mebibytes} MiB, medians; reference: {reference_label}")
    print(f"{'':40}{'wall s':>8}{'MB/s':>7}{'speed':>7}{'CPU s':>7}{'CPU x':>7}{'RSS +MiB':>10}")
    for label, result in results.items():
        own, used = statistics.median(result.wall), statistics.median(result.cpu)
        print(
            f"{label:40}{own:8.2f}{mebibytes * MIB / own / 1e6:7.0f}{wall / own:7.2f}"
            f"{used:7.2f}{used / cpu:7.2f}{max(result.rss) - bare:10.1f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["paramiko_get"]):
        import getpass

        port, key, known, source_, target_ = sys.argv[2:]
        peer = Server(int(port), getpass.getuser(), Path(key), Path(known))
        {"ours": ours, "paramiko_get": paramiko_get}[sys.argv[1]](peer, Path(source_), Path(target_))
    else:
        main(*(int(word) for word in sys.argv[1:]))
