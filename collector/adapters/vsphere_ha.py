"""vSphere HA's VM Monitoring: it resets a virtual machine whose tools are silent, and a dumping one's are.

It waits for the failure interval without a heartbeat of VMware Tools, if it ever heard one. Then it looks for
disk and network I/O of the last `das.iostatsInterval` seconds, and resets the machine if there was none.
Source: vSphere Availability, "VM and Application Monitoring"; vSphere API, ClusterVmToolsMonitoringSettings.
"""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from collector.adapters.answers import HA_RESET, WatchdogState
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_properties import read
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import PeerFailedError, UnsupportedError

_OFF = "vmMonitoringDisabled"
_IO_OPTION, _IO_INTERVAL_S = "das.iostatsinterval", 120
_FAILURE_INTERVAL_S = 30
_SETTINGS = "configurationEx"
_NOBODY = WatchdogState(running=False, action="none", initial_s=None, present_s=None)


def watchdog(session: VsphereSession, vm: Any, deadline: Deadline) -> WatchdogState:  # noqa: ANN401
    """Whether HA would reset the machine, and after how many seconds of silence.

    Raises:
        UnsupportedError: an ESXi host is asked that belongs to a vCenter: only that knows.
        AdapterError: the server could not be asked, or hides the cluster's settings.
    """
    (values,) = read(session, [vm], ["runtime.host", "guestHeartbeatStatus"], deadline)
    (host,) = read(session, [values["runtime.host"]], ["parent", "summary.managementServerIp"], deadline)
    if not session.vcenter and host.get("summary.managementServerIp"):
        raise UnsupportedError(
            f"{session.where} does not know whether vSphere HA would reset the machine",
            hint="Ask its vCenter: name that as the host's controller.",
        )
    cluster = host.get("parent")
    if not isinstance(cluster, vim.ClusterComputeResource):
        return _NOBODY
    (settings,) = read(session, [cluster], [_SETTINGS], deadline)
    known = settings.get(_SETTINGS)
    if known is None or known.dasConfig.enabled is None:  # unset is no all-clear
        raise PeerFailedError(
            f"{session.where} does not tell how vSphere HA of the cluster is set",
            hint="Add System.Read on the cluster to the account's role.",
        )
    heard = str(values.get("guestHeartbeatStatus")) != "gray"
    return _state(known.dasConfig, known.dasVmConfig or [], vm, heard=heard)


def _state(das: Any, overrides: Any, vm: Any, *, heard: bool) -> WatchdogState:  # noqa: ANN401
    default = das.defaultVmSettings.vmToolsMonitoringSettings if das.defaultVmSettings else None
    own = next((each.dasSettings for each in overrides if each.key == vm and each.dasSettings), None)
    mine = own.vmToolsMonitoringSettings if own is not None else None
    chosen, kind = default, das.vmMonitoring
    if mine is not None and mine.clusterSettings is False:
        chosen, kind = mine, mine.vmMonitoring or kind
    if not das.enabled or kind in {None, _OFF} or not heard:
        return _NOBODY
    silence = chosen.failureInterval if chosen and chosen.failureInterval else _FAILURE_INTERVAL_S
    return WatchdogState(True, HA_RESET, float(silence + _without_io(das)), None)


def _without_io(das: Any) -> int:  # noqa: ANN401
    """Seconds without disk and network I/O; 0 where HA does not look at it."""
    for option in das.option or []:
        if str(option.key).lower() == _IO_OPTION and str(option.value).isdecimal():
            return min(int(str(option.value)), 86_400)
    return _IO_INTERVAL_S
