"""Ask a fleet on loopback, some of it dead and some of it hung: our audit, a plain ssh loop, Ansible's ping.

    python bench/fleet.py [HOSTS]

Every host is an address of its own in a network namespace (which takes root). One sshd answers for the
living; 10 % of the hosts are dead (nothing answers the SYN), 5 % accept and never say a word. All three may
work on 32 hosts at a time, give a host 10 seconds to connect, and all the time it wants to answer: the hosts
share this machine. Ansible takes part if it is in the PATH, and is ended when it has had as much time as we
took: its rows by then are compared with ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the test's servers

from tests.peers.server import tool
from tests.peers.sshd import Sshd, sshd

FORKS, CONNECT = 32, 10
ANSWER = 120  # seconds; the audit has no way to give more than a deadline
DEAD_NET = "198.18.0.1/15"  # a network for benchmarks (RFC 2544); here a cable that leads nowhere
DEAD, SILENT = (5, 15), (10,)  # of every twenty hosts
INSIDE = "HC_BENCH_NAMESPACE"

Places = Mapping[str, tuple[str, int]]
"""Each host's address and port."""


def main(count: int) -> None:
    if os.geteuid() != 0:
        print("a network namespace takes root: not measured")
        return
    if INSIDE not in os.environ:
        unshare = tool("unshare", package="util-linux")
        environment = {**os.environ, INSIDE: "1"}
        # A PID namespace ends all that is in it: Ansible's workers outlive Ansible otherwise.
        apart = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        command = [unshare, *apart, sys.executable, __file__, str(count)]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
    lay_cables()
    with tempfile.TemporaryDirectory() as name, fleet(Path(name), count) as (server, hosts):
        print(f"{count} hosts: {count // 10} dead, {count // 20} silent; {FORKS} at a time")
        patience = 0.0
        for label, (run, available) in CONTESTANTS.items():
            if not available:
                print(f"{label:28} not installed")
                continue
            started = time.perf_counter()
            rows = run(Path(name), server, hosts, patience)
            seconds = time.perf_counter() - started
            patience = patience or seconds
            done = f"{len(rows)} rows, {sum(rows.values())} answered"
            print(f"{label:28} {seconds:7.1f} s   {done}, {len(rows) / seconds:.2f} rows/s")


def lay_cables() -> None:
    """Loopback, and a network whose addresses nobody has: a SYN to them is never answered."""
    ip = tool("ip", package="iproute2")
    for words in (
        "link set lo up",
        "link add dead0 type veth peer name dead1",
        "link set dead0 up",
        "link set dead1 up",
        f"address add {DEAD_NET} dev dead0",
    ):
        subprocess.run([ip, *words.split()], check=True)


@contextlib.contextmanager
def fleet(folder: Path, count: int) -> Iterator[tuple[Sshd, dict[str, tuple[str, int]]]]:
    """The server, and each host's address and port."""
    with (
        sshd(folder / "sshd", "ListenAddress=0.0.0.0", "MaxStartups=1000") as server,
        socket.create_server(("0.0.0.0", 0), backlog=4096) as silent,
    ):
        key = " ".join(server.known_hosts.read_text().split()[1:])
        server.known_hosts.write_text(f"* {key}\n")
        yield server, {f"db{n:05}": place(n, server.port, silent.getsockname()[1]) for n in range(count)}


def place(number: int, living: int, silent: int) -> tuple[str, int]:
    """Address and port of a host; dead and silent ones are spread evenly."""
    low = f"{number // 250}.{number % 250 + 2}"
    if number % 20 in DEAD:
        return f"198.18.{low}", 22
    return f"127.1.{low}", silent if number % 20 in SILENT else living


def ours(folder: Path, server: Sshd, hosts: Places, _patience: float) -> dict[str, bool]:
    settings, report = folder / "settings.yaml", folder / "audit.json"
    lines = [
        f"cases: {folder / 'cases'}",
        f"credentials: {{oncall: {{username: {server.user}, private_key: 'file:{server.private_key}'}}}}",
        "hosts:",
    ]
    for name, (address, port) in hosts.items():
        ssh = f"{{type: ssh, port: {port}, credential: oncall, known_hosts: '{server.known_hosts}'}}"
        lines.append(f"  {name}: {{platform: linux, address: {address}, channels: [{ssh}]}}")
    settings.write_text("\n".join(lines))
    script = Path(sys.executable).with_name("hang-collector")
    options = ["--all", "--deadline", str(ANSWER), "--format", "nagios"]
    files = ["--report", f"json:{report}", "--config", str(settings)]
    subprocess.run([script, "audit", *options, *files], stdout=subprocess.DEVNULL, check=False)
    return {row["host"]: row["answered"] for row in json.loads(report.read_text())["hosts"]}


def ssh_loop(_folder: Path, server: Sshd, hosts: Places, _patience: float) -> dict[str, bool]:
    """What people write: xargs and ssh, which log in and do nothing."""
    ssh = (
        f"ssh -n -q -o BatchMode=yes -o ConnectTimeout={CONNECT} -o UserKnownHostsFile={server.known_hosts} "
        f"-i {server.private_key} -l {server.user}"
    )
    names = "\n".join(f"{name} {address} {port}" for name, (address, port) in hosts.items())
    line = f'{ssh} -p "$2" "$1" true && echo "$0 yes" || echo "$0 no"'
    done = subprocess.run(
        ["xargs", "-P", str(FORKS), "-n", "3", "sh", "-c", line],
        input=names, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {name: said == "yes" for name, said in (row.split() for row in done.stdout.splitlines())}


def ansible(folder: Path, server: Sshd, hosts: Places, patience: float) -> dict[str, bool]:
    inventory = folder / "inventory.ini"
    inventory.write_text(
        "\n".join(
            f"{name} ansible_host={address} ansible_port={port}" for name, (address, port) in hosts.items()
        )
        + f"\n[all:vars]\nansible_user={server.user}\nansible_python_interpreter={sys.executable}\n"
        + f"ansible_ssh_private_key_file={server.private_key}\n"
        + f"ansible_ssh_common_args=-o UserKnownHostsFile={server.known_hosts}\n"
    )
    program = str(shutil.which("ansible"))
    said = folder / "ansible.out"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [program, "all", "-m", "ping", "-o", "-f", str(FORKS), "-T", str(CONNECT), "-i", inventory],
            stdout=out, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:  # the rows that are missing then say so
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = said.read_text(errors="replace").splitlines()
    return {line.split()[0]: "SUCCESS" in line for line in lines if " | " in line}


Contestant = Callable[[Path, Sshd, Places, float], dict[str, bool]]
CONTESTANTS: Mapping[str, tuple[Contestant, bool]] = {
    "hang-collector audit --all": (ours, True),
    "ansible -m ping": (ansible, shutil.which("ansible") is not None),
    "ssh true, by xargs": (ssh_loop, True),
}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
