"""Which playbook fits a host, and why not the others.

A playbook fits when the platform is the host's, and the host has a controller and a channel of a type that
the playbook names. Where several fit, the order in which the inventory lists the host's controllers decides,
then the order of its channels: the user put first what works best. Between two that are served by the same
controller and channel, the one that names fewer types is the more specific. What is still equal is refused:
a run that ends in an NMI is not chosen by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from collector.errors import PlaybookError
from collector.model.host import Endpoint, Host
from collector.playbook.loader import PlaybookFile
from collector.playbook.schema import Playbook


@dataclass(frozen=True, slots=True)
class Selection:
    """The playbook for a host, the sentence that says why, and `(name, reason)` of each other one."""

    playbook: Playbook
    why: str
    rejected: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class _Fit:
    """How well a playbook fits; the smallest is the best."""

    controller: int  # index into the host's controllers
    channel: int
    types: int  # how many types the playbook names


def select(host: Host, playbooks: Sequence[PlaybookFile]) -> Selection:
    """Choose the one playbook for this host.

    Raises:
        PlaybookError: none fits, with the reason for each; or two fit equally well.
    """
    fits: dict[str, _Fit] = {}
    rejected: dict[str, str] = {}
    for file in playbooks:
        fit = _fit(host, file.playbook)
        if isinstance(fit, _Fit):
            fits[file.playbook.name] = fit
        else:
            rejected[file.playbook.name] = fit
    if not fits:
        raise _none_fits(host, rejected)
    best = min(fits.values())
    chosen = [file for file in playbooks if fits.get(file.playbook.name) == best]
    if len(chosen) > 1:
        raise _several_fit(host, chosen)
    playbook = chosen[0].playbook
    for name, fit in fits.items():
        if name != playbook.name:
            rejected[name] = _second_to(best, fit, host)
    return Selection(playbook, _why(host, chosen[0], best), tuple(rejected.items()))


def named(playbooks: Sequence[PlaybookFile], name: str) -> Playbook:
    """The playbook of this name.

    Raises:
        PlaybookError: there is none.
    """
    for file in playbooks:
        if file.playbook.name == name:
            return file.playbook
    names = [file.playbook.name for file in playbooks]
    close = get_close_matches(name, names, n=1)
    raise PlaybookError(
        f"there is no playbook {name!r}",
        hint=f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names) or 'none'}.",
    )


def explain(selection: Selection) -> str:
    """Say what was chosen and why, then why each other playbook was not; one a line."""
    lines = [f"{selection.playbook.name}: {selection.why}"]
    lines += [f"not {name}: {reason}" for name, reason in selection.rejected]
    return "\n".join(lines)


def _fit(host: Host, playbook: Playbook) -> _Fit | str:
    """How the playbook fits the host, or the sentence that says why it does not."""
    when = playbook.when
    if host.platform not in when.platforms:
        return f"it is for {' or '.join(when.platforms)}, and the host runs {host.platform}"
    controller = _first(host.controllers, when.controllers)
    if controller is None:
        return _lacks("controller", when.controllers, host.controllers)
    channel = _first(host.channels, when.channels)
    if channel is None:
        return _lacks("channel", when.channels, host.channels)
    return _Fit(controller, channel, len(set(when.controllers)) + len(set(when.channels)))


def _first(endpoints: Sequence[Endpoint], types: Sequence[str]) -> int | None:
    return next((index for index, endpoint in enumerate(endpoints) if endpoint.type in types), None)


def _lacks(kind: str, wanted: Sequence[str], present: Sequence[Endpoint]) -> str:
    has = ", ".join(endpoint.type for endpoint in present) or "none"
    return f"it needs a {kind} of type {' or '.join(wanted)}, and the host has {has}"


def _why(host: Host, file: PlaybookFile, fit: _Fit) -> str:
    why = (
        f"it is for {host.platform}, and the host has the controller {host.controllers[fit.controller].type} "
        f"and the channel {host.channels[fit.channel].type}"
    )
    return f"{why} (from {file.origin})" if file.hides else why


def _second_to(best: _Fit, fit: _Fit, host: Host) -> str:
    if fit.controller != best.controller:
        first, later = host.controllers[best.controller].type, host.controllers[fit.controller].type
        return f"it fits too, but the inventory lists the controller {first} before {later}"
    if fit.channel != best.channel:
        first, later = host.channels[best.channel].type, host.channels[fit.channel].type
        return f"it fits too, but the inventory lists the channel {first} before {later}"
    return "it fits too, but it is less specific: it names more types of controllers and channels"


def _none_fits(host: Host, rejected: dict[str, str]) -> PlaybookError:
    reasons = "".join(f"\n  not {name}: {reason}" for name, reason in rejected.items())
    return PlaybookError(
        "no playbook fits" + (f":{reasons}" if reasons else "; there are none"),
        hint="Add the missing controller or channel to the host, or write a playbook for it.",
        host=host.name,
    )


def _several_fit(host: Host, files: Sequence[PlaybookFile]) -> PlaybookError:
    names = " and ".join(sorted(file.playbook.name for file in files))
    return PlaybookError(
        f"the playbooks {names} fit equally well",
        hint="Choose one with --playbook NAME, or name fewer controllers and channels in one of them.",
        host=host.name,
    )
