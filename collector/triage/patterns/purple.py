"""How ESXi ended: its purple screens, and what the stack on one does not say."""

from __future__ import annotations

from collections.abc import Iterator

from collector.triage.model import Psod, Stack
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_SCREEN = "https://knowledge.broadcom.com/external/article?legacyId=1004250"
_SPIN = "https://knowledge.broadcom.com/external/article?legacyId=1020105"
_LINT = "https://knowledge.broadcom.com/external/article?legacyId=1804"
_CHECK = "https://knowledge.broadcom.com/external/article/372284"
_OWN_MODULES = ("vmk", "com.vmware", "user", "service")

_SPINS = ("spin count exceeded",)
_NMI = ("lint1", "nmi ipi", "nmihandler", "non-maskable interrupt", "nonmaskable interrupt")
_HEARTBEAT = ("no heartbeat", "failed to heartbeat", "locked up")
_NO_ANSWER = ("failed to ack tlb invalidate",)
_MACHINE_CHECK = ("machine check", "hardware error")


def _says(screen: Psod | None, *texts: str) -> bool:
    return screen is not None and any(text in screen.message.lower() for text in texts)


@pattern(
    "psod",
    title="Purple screen of ESXi",
    meaning="The hypervisor stopped itself.",
    remedy="Look the message up, with the build, in VMware's knowledge base.",
    source=_SCREEN,
)
def psod(view: View) -> Iterator[Finding]:
    """A purple screen: its message, build, world, CPU and uptime, and the first module of another maker."""
    screen = view.log.psod
    if screen is not None:
        suspect = _module_of(view, screen) if _stack_is_of_the_cause(screen) else None
        words = screen.message or "a purple screen"
        if screen.world is not None:
            words += f"; world {screen.world.world_id} ({screen.world.name}) ran on CPU {screen.world.cpu}"
        yield from seen("psod", words, [screen.line], suspect=suspect, **_figures(screen))


def _figures(screen: Psod) -> dict[str, int | float | str]:
    figures: dict[str, int | float | str] = {"build": screen.build} if screen.build else {}
    if screen.uptime_seconds is not None:
        figures["vmk_uptime_s"] = screen.uptime_seconds
    if screen.world is not None:
        figures |= {"world_id": screen.world.world_id, "active_cpu": screen.world.cpu}
    if screen.cr2 is not None:
        figures["cr2"] = f"{screen.cr2:#x}"
    return figures


def _stack_is_of_the_cause(screen: Psod) -> bool:
    """Whoever waits for a lock or an answer, and where an NMI came, is on the screen by chance."""
    return not _says(screen, *_SPINS, *_NO_ANSWER, *_NMI, *_MACHINE_CHECK)


def _module_of(view: View, screen: Psod) -> Suspect | None:
    """The module of the first frame that is not VMware's own."""
    stack = screen.stack or Stack()
    for frame, line in zip(stack.frames, stack.lines, strict=False):
        if frame.module and not frame.module.startswith(_OWN_MODULES):
            vendor = view.modules.vendor(frame.module)
            name = vendor.name if vendor else ""
            return Suspect("driver", module=frame.module, vendor=name, detail=str(frame), line=line)
    return None


@pattern(
    "spin_count_exceeded",
    title="Spin count exceeded",
    meaning="A processor waited too long for a spinlock: its owner never let it go.",
    remedy="Find the owner in the other processors' stacks and in the dump; update ESXi and its drivers.",
    source=_SPIN,
)
def spin_count(view: View) -> Iterator[Finding]:
    """The message of the purple screen, which names the lock."""
    screen = view.log.psod
    if screen is not None and _says(screen, *_SPINS):
        lock = screen.lock or "unknown"
        suspect = Suspect("unknown_lock_owner", lock=lock, line=screen.line)
        words = f"the spinlock {lock} was held too long"
        yield from seen("spin_count_exceeded", words, [screen.line], suspect=suspect, lock=lock)


@pattern(
    "stack_is_waiter_not_owner",
    title="The stack shown is the waiter's",
    meaning="The screen shows who waited for a lock or an answer, and not who kept it waiting.",
    remedy="Do not blame the functions on this stack; look for the owner in the dump.",
    source=_SPIN,
)
def waiter_not_owner(view: View) -> Iterator[Finding]:
    """A spin count message, or one of a processor that does not answer, over a stack."""
    screen = view.log.psod
    if screen is not None and _says(screen, *_SPINS, *_NO_ANSWER):
        words = "the stack on the screen belongs to a thread that waited for the lock, not to its owner"
        if _says(screen, *_NO_ANSWER):
            words = "the stack on the screen belongs to a processor that waited for the one that locked up"
        lines = [*(screen.stack.lines[:2] if screen.stack else ()), screen.line]
        yield from seen("stack_is_waiter_not_owner", words, lines)


@pattern(
    "psod_no_heartbeat",
    title="Processor of an ESXi host locked up",
    meaning="A processor did not let the scheduler run, or did not answer the others, for too long.",
    remedy="Look in the dump at what that processor did; update firmware and drivers; suspect the hardware.",
    source=_SCREEN,
)
def no_heartbeat(view: View) -> Iterator[Finding]:
    """ "PCPU 10: no heartbeat", or "PCPU 1 locked up", in the message of the purple screen."""
    screen = view.log.psod
    if screen is not None and _says(screen, *_HEARTBEAT, *_NO_ANSWER):
        yield from seen("psod_no_heartbeat", screen.message, [screen.line])


@pattern(
    "psod_nmi",
    title="Purple screen by an NMI",
    meaning="A non-maskable interrupt ended ESXi: sent on purpose, or raised by the hardware.",
    remedy="Blame nothing on the stack. If nobody sent it: the controller's event log names the hardware.",
    source=_LINT,
)
def lint(view: View) -> Iterator[Finding]:
    """LINT1 or an NMI in the message of the purple screen."""
    screen = view.log.psod
    if screen is not None and _says(screen, *_NMI):
        yield from seen("psod_nmi", "an NMI ended the system", [screen.line])


@pattern(
    "psod_machine_check",
    title="Machine check of an ESXi host",
    meaning="A processor found an error of the hardware that nothing could correct.",
    remedy="Give the screen and the controller's event log to the maker of the server.",
    source=_CHECK,
)
def machine_check(view: View) -> Iterator[Finding]:
    """A machine check exception in the message of the purple screen."""
    screen = view.log.psod
    if screen is not None and _says(screen, *_MACHINE_CHECK):
        suspect = Suspect("hardware", detail="the hardware of the server", line=screen.line)
        yield from seen(
            "psod_machine_check", "the hardware reported an error", [screen.line], suspect=suspect
        )
