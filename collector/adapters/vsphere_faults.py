"""What a fault of the vSphere API means: for a person, and for the question whether an NMI went out."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)

_MAX_WORDS = 300

UNSUPPORTED = (
    vmodl.fault.NotSupported,
    vmodl.fault.NotImplemented,
    vmodl.fault.MethodNotFound,
    vim.fault.RestrictedVersion,
)
"""The server has no such method, or its licence has not. Nothing was begun, and another way may work."""

REFUSED = (
    *UNSUPPORTED,
    vim.fault.NoPermission,  # NotAuthenticated is one, too
    vim.fault.InvalidState,  # powered off, suspended, disconnected
    vim.fault.TaskInProgress,
    vmodl.fault.HostNotConnected,  # vCenter has no way to the host, and says so before it tries
    vmodl.fault.ManagedObjectNotFound,
    vmodl.fault.InvalidRequest,
    vmodl.fault.InvalidArgument,
)
"""Faults that are raised before a method does anything. All others prove nothing."""


_OTHERS: tuple[tuple[Any, type[AdapterError], str, str], ...] = (
    (UNSUPPORTED, UnsupportedError, "cannot do that", "Look for another way."),
    (vim.fault.Timedout, DeadlineError, "gave up by itself", "Try again."),
    (
        vmodl.fault.ManagedObjectNotFound,
        PeerFailedError,
        "does not know the object any more",
        "It was removed or registered anew: run again.",
    ),
)


def words(fault: Any) -> str:  # noqa: ANN401 - a class of pyVmomi
    """The fault's kind and what the server says of it; `msg` is unset where pyVmomi made the fault itself."""
    kind = type(fault).__name__.rpartition(".")[2]
    said = "".join(char if char.isprintable() else " " for char in str(fault.msg or "")[:_MAX_WORDS])
    states = ""
    if isinstance(fault, vim.fault.InvalidPowerState):
        states = f" (it is {fault.existingState})"
    if isinstance(fault, vim.fault.NoPermission) and fault.privilegeId:
        states = f" (the privilege {str(fault.privilegeId)[:100]} is missing)"
    return f"{kind}: {said}{states}" if said else f"{kind}{states}"


def error_of(fault: Any, where: str) -> AdapterError:  # noqa: ANN401
    """The error that a person reads for a fault that a read ended with."""
    if isinstance(fault, vim.fault.NotAuthenticated):
        return UnreachableError(f"the session at {where} is over", hint="Log in again: idle sessions end.")
    if isinstance(fault, vim.fault.NoPermission):
        privilege = str(fault.privilegeId or "")[:100]
        return ForbiddenError(
            f"this account may not do that at {where}: the privilege {privilege or '(unnamed)'} is missing",
            hint=f"Add {privilege or 'it'} to the account's role on the object, and on what it lies in; "
            "the role Administrator has every privilege.",
        )
    if isinstance(fault, vmodl.fault.HostCommunication):
        return UnreachableError(
            f"{where} cannot reach the ESXi host: {words(fault)}",
            hint="Probe that host. Another controller with its `address` goes around vCenter.",
        )
    for kinds, error, what, hint in _OTHERS:
        if isinstance(fault, kinds):
            return error(f"{where} {what}: {words(fault)}", hint=hint)
    return PeerFailedError(f"{where} answered {words(fault)}", hint="Look at its tasks and events.")
