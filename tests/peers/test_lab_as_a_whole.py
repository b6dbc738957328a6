"""The lab's BMC wired to the lab's server, as ipmitool sees them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from collector.lab.bmc import Bmc
from collector.lab.crash import Script
from collector.lab.host import LabHost, State
from collector.lab.rmcp import Account
from tests.peers.server import tool

SCRIPT = Script(dump_seconds=0.2, boot_seconds=0.1, dump_pages=10)


def ipmitool(bmc: Bmc, *arguments: str) -> str:
    command = (
        tool("ipmitool", package="ipmitool"), "-I", "lanplus", "-C", "3", "-H", bmc.address,
        "-p", str(bmc.port), "-U", "admin", "-E", *arguments,
    )  # fmt: skip
    env = {**os.environ, "IPMI_PASSWORD": "secret"}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=60).stdout


def test_one_nmi_over_ipmi_crashes_the_server_once_and_leaves_its_record(tmp_path: Path) -> None:
    with LabHost(tmp_path, SCRIPT) as host, Bmc(host, [Account("admin", "secret")]) as bmc:
        host.hang()
        before = host.boot_id
        assert "is on" in ipmitool(bmc, "power", "status")
        ipmitool(bmc, "power", "diag")
        assert (len(bmc.nmis), host.nmis) == (1, 1)
        end = time.monotonic() + 30
        while host.state is not State.RUNNING:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert host.boot_id != before
        assert "NMI" in ipmitool(bmc, "sel", "elist")


def test_power_over_ipmi_is_the_servers_power(tmp_path: Path) -> None:
    with LabHost(tmp_path, SCRIPT) as host, Bmc(host, [Account("admin", "secret")]) as bmc:
        ipmitool(bmc, "power", "off")
        assert host.state is State.OFF
        assert "is off" in ipmitool(bmc, "power", "status")
        ipmitool(bmc, "power", "on")
        assert host.powered_on()
