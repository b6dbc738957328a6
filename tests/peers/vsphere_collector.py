"""The double's property collector and its views: traversal, dotted paths, pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

from tests.peers.vsphere_world import Node, World

Query = vmodl.query.PropertyCollector
_numbers = itertools.count(1)


@dataclass(eq=False)
class View(Node):
    """A container view: the objects of some types below a container, at this moment."""

    members: list[Node] = field(default_factory=list)

    def properties(self) -> dict[str, Any]:
        return {"view": vim.ManagedEntity.Array([member.ref for member in self.members])}


class PropertyReader:
    """Answers RetrievePropertiesEx and CreateContainerView over a world.

    `largest_page` is the most objects in one answer, whatever the client asks for.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.largest_page = 1000
        self._rest: dict[str, tuple[int, list[Any]]] = {}

    def create_view(self, container: Any, kinds: list[Any], recursive: bool) -> Any:
        """A view of a folder, a datacenter or the root."""
        top = self.world.nodes[container._GetMoId()]
        nodes = list(top.below()) if recursive else top.children
        members = [node for node in nodes if not kinds or issubclass(node.kind, tuple(kinds))]
        view = View(vim.view.ContainerView, f"session[1]view-{next(_numbers)}", members=members)
        return self.world.add(view).ref

    def retrieve(self, specs: list[Any], limit: int | None) -> Any:
        """The first page."""
        found: dict[tuple[str, int], Any] = {}
        for number, spec in enumerate(specs):
            for node in self._selected(spec):
                if (node.moid, number) not in found:
                    content = _content(node, spec.propSet)
                    if content is not None:
                        found[node.moid, number] = content
        return self._page(list(found.values()), limit)

    def go_on(self, token: str) -> Any:
        """The next page."""
        if token not in self._rest:
            raise vmodl.fault.InvalidArgument(msg="A specified parameter was not correct: token")
        size, objects = self._rest.pop(token)
        return self._page(objects, size)

    def _page(self, objects: list[Any], limit: int | None) -> Any:
        size = min(limit or self.largest_page, self.largest_page)
        page, rest = objects[:size], objects[size:]
        token = None
        if rest:
            token = str(next(_numbers))
            self._rest[token] = size, rest
        return Query.RetrieveResult(token=token, objects=page) if page else None

    def _selected(self, spec: Any) -> Iterator[Node]:
        for start in spec.objectSet:
            node = self.world.nodes.get(start.obj._GetMoId())
            if node is None:
                raise vmodl.fault.ManagedObjectNotFound(
                    msg="The object has already been deleted or has not been completely created",
                    obj=start.obj,
                )
            named = {each.name: each for each in _traversals(start.selectSet)}
            if not start.skip:
                yield node
            yield from self._follow(node, start.selectSet, named)

    def _follow(self, node: Node, selections: Any, named: dict[str, Any]) -> Iterator[Node]:
        for selection in selections:
            way = selection if isinstance(selection, Query.TraversalSpec) else named[selection.name]
            if not issubclass(node.kind, way.type):
                continue
            refs = node.properties().get(way.path)
            for ref in refs if isinstance(refs, list) else [refs] if refs is not None else []:
                target = self.world.nodes[ref._GetMoId()]
                if not way.skip:
                    yield target
                yield from self._follow(target, way.selectSet, named)


def _traversals(selections: Any) -> Iterator[Any]:
    for selection in selections:
        if isinstance(selection, Query.TraversalSpec):
            yield selection
            yield from _traversals(selection.selectSet)


def _content(node: Node, wanted: Any) -> Any:
    specs = [spec for spec in wanted if issubclass(node.kind, spec.type)]
    if not specs:
        return None
    values = node.properties()
    paths = {path for spec in specs for path in (values if spec.all else spec.pathSet)}
    pairs = [(path, value(node, path, values)) for path in sorted(paths)]
    properties = [vmodl.DynamicProperty(name=path, val=val) for path, val in pairs if val is not None]
    return Query.ObjectContent(obj=node.ref, propSet=properties)


def value(node: Node, path: str, values: dict[str, Any] | None = None) -> Any:
    """What stands at a dotted path; None where it is unset. `values` are the node's, where they are known.

    Raises: InvalidProperty for a path that the type does not have.
    """
    first, *rest = path.split(".")
    try:
        kind = node.kind._GetPropertyInfo(first).type
        found = (node.properties() if values is None else values).get(first)
        for part in rest:
            if found is None:
                return None
            kind, found = found._GetPropertyInfo(part).type, getattr(found, part)
    except AttributeError as error:
        raise vmodl.query.InvalidProperty(msg=f"Invalid property: {path}", name=path) from error
    if isinstance(found, list):
        named = kind(found) if kind is not object and found else found  # a plain list does not say of what
        return named or None
    return found
