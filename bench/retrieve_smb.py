"""Copy one file over SMB on loopback into a case: our reader against Samba's smbclient.

    python bench/retrieve_smb.py [MEBIBYTES] [ROUNDS]

Directly, through a proxy that makes 5 ms of round-trip time (many kernels have no netem), and through one
that is a line of 2.5 Gbit/s besides. Every round runs all of them, one after the other, each in a process of
its own. Ours writes into a case folder and hashes with SHA-256, as `collect` does; smbclient only writes, so
once more with the hash after it, and once beside OpenSSL hashing as much: what a copy in C that hashes would
take at the least on this machine, whose cores the server uses, too. "Read only" is ours without hash and
file.

The start of Python, with what it imports, costs half a second, once a run and not once a dump: rows of their
own leave it out.
Wall and client CPU (user and system) are medians in seconds; RSS is the peak in MiB above a bare interpreter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from retrieve import MIB, Result, measure, show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the test's servers, which main imports

REFERENCE = "smbclient get, signed"
ROUND_TRIP = 0.005
LINE = 312_500_000  # bytes a second, 2.5 Gbit/s
STARTED = ", once started"


def ours(port: int, user: str, folder: Path, mode: str) -> str:
    import collector.adapters.smb_login  # noqa: F401 - 200 modules, which the first login would import
    from collector.adapters.limits import Deadline
    from collector.adapters.smb import SmbChannel, SmbEndpoint
    from collector.case.folder import CaseFolder
    from collector.case.partfile import PartFile
    from collector.model.host import Credential, SecretRef

    case = CaseFolder.create(folder, "db01", datetime.now(UTC))
    credential = Credential("win", username=user, password=SecretRef("env", "PASSWD", Path()))
    endpoint = SmbEndpoint(address="127.0.0.1", port=port, encrypt=mode == "encrypt")
    started, used = time.perf_counter(), time.process_time()
    with SmbChannel(endpoint, credential, Deadline.after(30)) as channel:
        size = channel.stat("/C:/source", Deadline.after(30)).size
        chunks = channel.read("/C:/source", 0, 60.0)
        if mode == "read":
            assert sum(map(len, chunks)) == size
        else:
            with PartFile.open(case, "dump/source", "source", size=size) as part:
                for chunk in chunks:
                    part.write(chunk)
                part.finish()
    return f"{time.perf_counter() - started} {time.process_time() - used}"


def delay(target: int, port: int, line: float) -> None:
    """Pass everything on to the loopback port `target`, half a round trip later, at `line` bytes a second."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", target))
            for source, sink in ((client, server), (server, client)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pass_on, args=(source, sink, line), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, line: float) -> None:
    """Through pipes, so that the bytes themselves are never touched: a network costs no CPU here."""
    pipes: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    made = [os.pipe() for _ in range(32)]
    for leaves, enters in made:
        fcntl.fcntl(enters, fcntl.F_SETPIPE_SZ, MIB)
        pipes.put((leaves, enters))
    on_the_way: queue.SimpleQueue[tuple[float, int, tuple[int, int]]] = queue.SimpleQueue()

    def arrive() -> None:
        count = 1
        with contextlib.suppress(OSError):
            while count:
                due, count, pipe = on_the_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                left = count
                while left:
                    left -= os.splice(pipe[0], sink.fileno(), left)
                pipes.put(pipe)
            sink.shutdown(socket.SHUT_WR)

    arriving = threading.Thread(target=arrive, daemon=True)
    arriving.start()
    count, free = 1, 0.0
    while count:
        pipe = pipes.get()
        try:
            count = os.splice(source.fileno(), pipe[1], MIB)
        except OSError:
            count = 0
        free = max(free, time.monotonic()) + count / line
        on_the_way.put((free + ROUND_TRIP / 2, count, pipe))
    arriving.join()
    for end in (end for both in made for end in both):
        os.close(end)


@contextlib.contextmanager
def delayed(target: int, line: float) -> Iterator[int]:
    from tests.peers.server import free_port, wait_for_port

    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "delay", str(target), str(port), str(line)])
    try:
        wait_for_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


def compare(port: int, user: str, source: Path, folder: Path, rounds: int) -> None:
    from tests.peers.server import tool

    client = [tool("smbclient", package="smbclient"), "//127.0.0.1/C$", "-p", str(port), "-U", user,
              "-m", "SMB3", "-c", f"get source {folder}/copy"]  # fmt: skip
    signed = [*client, "--client-protection=sign"]
    hasher = f"{tool('openssl', package='openssl')} dgst -sha256"
    own = [sys.executable, __file__, "ours", str(port), user, str(folder)]
    commands = {
        REFERENCE: signed,
        "the same, then sha256sum": ["sh", "-c", f'"$@" && sha256sum {folder}/copy', "sh", *signed],
        "the same beside openssl sha256": ["sh", "-c", f'{hasher} {source} & "$@" && wait', "sh", *signed],
        "hang-collector, signed": [*own, "sign"],
        "hang-collector, read only": [*own, "read"],
        "smbclient get, encrypted": [*client, "--client-protection=encrypt"],
        "hang-collector, encrypted": [*own, "encrypt"],
    }  # fmt: skip
    bare = Result()
    measure([sys.executable, "-c", "pass"], bare)
    results = {label: Result() for label in commands}
    for round_ in range(rounds):
        for label, command in commands.items():
            said = measure(command, results[label], quiet=True)
            if command[: len(own)] == own:
                copy = results.setdefault(label + STARTED, Result(rss=results[label].rss))
                wall, cpu = said.split()
                copy.wall.append(float(wall))
                copy.cpu.append(float(cpu))
            if round_ == 0 and command[-1] != "read":
                made = next(path for path in (folder / "copy", *folder.rglob("dump/source")) if path.exists())
                subprocess.run([tool("cmp", package="diffutils"), source, made], check=True)
            for path in (folder / "copy", *folder.rglob("dump/source")):
                path.unlink(missing_ok=True)
    show(results, source.stat().st_size // MIB, bare.rss[0], REFERENCE)


def main(mebibytes: int = 1024, rounds: int = 5) -> None:
    from tests.peers.samba import drive

    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        shared, folder = Path(name, "shared"), Path(name, "cases")
        shared.mkdir()
        folder.mkdir()
        with (shared / "source").open("wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(MIB))
        with drive(Path(name, "samba"), shared) as server:
            os.environ["PASSWD"] = server.password  # smbclient reads it there, too
            print("direct: ", end="")
            compare(server.port, server.user, shared / "source", folder, rounds)
            for line, words in ((float("inf"), ""), (LINE, f", {LINE * 8 / 1e9:g} Gbit/s")):
                with delayed(server.port, line) as port:
                    print(f"\n{ROUND_TRIP * 1000:g} ms of round-trip time{words}: ", end="")
                    compare(port, server.user, shared / "source", folder, rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        print(ours(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), sys.argv[5]))
    elif sys.argv[1:2] == ["delay"]:
        delay(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        main(*(int(word) for word in sys.argv[1:]))
