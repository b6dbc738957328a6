"""One thread may be seen twice: in a kernel dump, and in a user dump of its process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from collector.triage import waits
from collector.triage.model import Stack, Thread


def join(threads: Iterable[Thread], names: dict[int, str]) -> list[Thread]:
    """Make one thread of the two sightings of it in a kernel dump and in a user dump of its process.

    They are the same when process id and thread id are: the kernel's frames then go over the user's.
    """
    joined: dict[tuple[int, int] | int, Thread] = {}
    for number, thread in enumerate(threads):
        named = thread if thread.image or thread.process is None else _named(thread, names)
        key = ids(thread) or -1 - number
        other = joined.get(key)
        joined[key] = named if other is None else _one(other, named)
    return list(joined.values())


def ids(thread: Thread) -> tuple[int, int] | None:
    """Process id and thread id, which the two dumps have in common."""
    if thread.process_id is None or thread.thread_id is None:
        return None
    return thread.process_id, thread.thread_id


def _named(thread: Thread, names: dict[int, str]) -> Thread:
    return replace(thread, image=names.get(thread.process or 0, ""))


def _one(first: Thread, second: Thread) -> Thread:
    kernel, user = (first, second) if first.address is not None else (second, first)
    if kernel.address is None or user.address is not None:
        return first if first.stack is not None else second
    return replace(
        kernel,
        stack=_over(kernel.stack, user.stack),
        index=user.index,
        image=kernel.image or user.image,
    )


def _over(kernel: Stack | None, user: Stack | None) -> Stack | None:
    if kernel is None or user is None or len(waits.kernel_frames(kernel)) < len(kernel.frames):
        return kernel or user
    height = len(kernel.frames)
    return Stack(
        frames=kernel.frames + user.frames,
        lines=(*kernel.lines, *user.lines),
        args={**kernel.args, **{place + height: values for place, values in user.args.items()}},
        doubtful_from=kernel.doubtful_from,
    )
