"""Bulk reads by the property collector: a few round trips, however many objects there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim, vmodl

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import PeerFailedError

_PAGE = 500
"""Objects in one answer."""

_MOST = 100_000
"""Objects in all answers: the largest vCenter has 40,000 virtual machines."""

_Query = vmodl.query.PropertyCollector


def read(
    session: VsphereSession, objects: Sequence[Any], paths: Sequence[str], deadline: Deadline
) -> list[Mapping[str, Any]]:
    """Read `paths` of `objects`, all of one type, in their order; unset properties are absent.

    Raises: AdapterError.
    """
    if not objects:
        return []
    starts = [_Query.ObjectSpec(obj=each) for each in objects]
    found = dict(_pages(session, type(objects[0]), paths, starts, deadline))
    try:
        return [found[each] for each in objects]
    except KeyError as error:
        raise PeerFailedError(
            f"{session.where} left an object out of its answer", hint="It may be gone: run again."
        ) from error


def read_all(
    session: VsphereSession,
    kind: Any,  # noqa: ANN401 - a managed type of pyVmomi
    paths: Sequence[str],
    deadline: Deadline,
    *,
    below: Any = None,  # noqa: ANN401
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Read `paths` of every object of type `kind` below a folder, a datacenter or a cluster (the whole tree).

    Raises: AdapterError.
    """
    content = session.content
    with session.asking(deadline):
        view = content.viewManager.CreateContainerView(below or content.rootFolder, [kind], True)
    way = _Query.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    start = _Query.ObjectSpec(obj=view, skip=True, selectSet=[way])
    yield from _pages(session, kind, paths, [start], deadline)
    with session.asking(deadline):
        view.DestroyView()


def _pages(
    session: VsphereSession,
    kind: Any,  # noqa: ANN401
    paths: Sequence[str],
    starts: Sequence[Any],
    deadline: Deadline,
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    spec = _Query.FilterSpec(
        propSet=[_Query.PropertySpec(type=kind, pathSet=list(paths))], objectSet=list(starts)
    )
    collector, count = session.content.propertyCollector, 0
    with session.asking(deadline):
        page = collector.RetrievePropertiesEx([spec], _Query.RetrieveOptions(maxObjects=_PAGE))
    while page is not None:
        for each in page.objects:
            yield each.obj, {one.name: one.val for one in each.propSet}
        count += len(page.objects)
        if count > _MOST:
            raise PeerFailedError(f"{session.where} does not stop listing objects", hint="Is it a vCenter?")
        if not page.token:
            return
        with session.asking(deadline):
            page = collector.ContinueRetrievePropertiesEx(page.token)
