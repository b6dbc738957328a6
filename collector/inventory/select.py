"""Which hosts are meant by the names and the tags on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from collector.config.settings import Settings
from collector.config.validation import did_you_mean
from collector.errors import InventoryError
from collector.inventory.folding import expand, fold
from collector.model.host import Host


def select(settings: Settings, names: Sequence[str]) -> list[Host]:
    """The hosts of these names in their order, each once. Names may be folded: `web[01-40]`.

    Raises:
        InventoryError: the settings file has no host of one of the names; all such names are listed.
    """
    wanted = dict.fromkeys(single for name in names for single in expand(name))
    unknown = [name for name in wanted if name not in settings.hosts]
    if unknown:
        raise InventoryError(
            f"{settings.path} has no host {fold(unknown)}{did_you_mean(unknown[0], settings.hosts)}",
            hint="Correct the name, or add the host under `hosts`.",
        )
    return [settings.hosts[name] for name in wanted]


def tagged(settings: Settings, tags: Sequence[str]) -> list[Host]:
    """The hosts that have any of these tags, in the order of the settings file.

    Raises:
        InventoryError: no host has one of the tags; a word that was mistyped must not pass for a group.
    """
    known = {tag for host in settings.hosts.values() for tag in host.tags}
    for tag in tags:
        if tag not in known:
            raise InventoryError(
                f"no host of {settings.path} has the tag {tag!r}{did_you_mean(tag, known)}",
                hint="Correct it, or add it to the `tags` of the hosts.",
            )
    return [host for host in settings.hosts.values() if not host.tags.isdisjoint(tags)]
