"""A cluster of the vSphere double, with vSphere HA as a test sets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from tests.peers.vsphere_world import Node, Vm, World


@dataclass(eq=False)
class Cluster(Node):
    """`monitoring` and the times in seconds are those of VM Monitoring; `overrides` are by machine."""

    enabled: bool | None = True
    monitoring: str = "vmMonitoringOnly"
    failure_interval: int = 30
    options: dict[str, str] = field(default_factory=dict)
    overrides: dict[Vm, dict[str, Any]] = field(default_factory=dict)
    hidden: bool = False  # the account may not read its settings

    def properties(self) -> dict[str, Any]:
        return {**super().properties(), "configurationEx": None if self.hidden else self._configuration()}

    def _configuration(self) -> Any:
        das = vim.cluster.DasConfigInfo(
            enabled=self.enabled,
            vmMonitoring=self.monitoring,
            defaultVmSettings=_settings(failureInterval=self.failure_interval),
            option=[vim.option.OptionValue(key=key, value=value) for key, value in self.options.items()],
        )
        overrides = [
            vim.cluster.DasVmConfigInfo(key=vm.ref, dasSettings=_settings(**settings))
            for vm, settings in self.overrides.items()
        ]
        return vim.cluster.ConfigInfoEx(
            vmSwapPlacement="vmDirectory",
            dasConfig=das,
            dasVmConfig=overrides,
            drsConfig=vim.cluster.DrsConfigInfo(),
        )


def add_cluster(world: World, **settings: Any) -> Cluster:
    """A cluster that the world's host is moved into."""
    folder = world.host.parent
    assert folder is not None
    cluster = Cluster(vim.ClusterComputeResource, "domain-c1", "Cluster0", folder, **settings)
    folder.children.remove(world.host)
    cluster.children.append(world.host)
    world.host.parent = cluster
    world.add(cluster)
    return cluster


def _settings(**settings: Any) -> Any:
    return vim.cluster.DasVmSettings(
        vmToolsMonitoringSettings=vim.cluster.VmToolsMonitoringSettings(**settings)
    )
