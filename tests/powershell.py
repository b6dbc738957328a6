"""A reader of PowerShell: the grammar that editors use, since there is no PowerShell here to ask."""

from __future__ import annotations

from collections.abc import Iterator

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

_GRAMMAR = Language(tree_sitter_powershell.language())


def read(script: str) -> Iterator[Node]:
    """Every node of the script's tree.

    Raises:
        SyntaxError: the script is none, and where that shows.
    """
    waiting = [Parser(_GRAMMAR).parse(script.encode()).root_node]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            raise SyntaxError(f"line {node.start_point.row + 1}: {text(node)[:80]!r}")
        yield node
        waiting += reversed(node.children)


def text(node: Node) -> str:
    """What stands there."""
    return (node.text or b"").decode()


def of(script: str, *kinds: str) -> set[str]:
    """The texts of all nodes of these kinds."""
    return {text(node) for node in read(script) if node.type in kinds}
