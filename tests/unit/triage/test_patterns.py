from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from collector.triage.answer import Answer, answer
from collector.triage.kdlog import parse
from collector.triage.model import Command, DebuggerLog, Process
from collector.triage.modules import load
from collector.triage.patterns import CATALOG
from tests.unit.triage.planted import Scene, event, stack, thread, waiting

_SYSCALL = ("nt!NtDeviceIoControlFile", "nt!KiSystemServiceCopyEnd", "ntdll!NtDeviceIoControlFile", "app!Ask")


def of(log: DebuggerLog) -> Answer:
    return answer(log, load())


def read(text: str) -> Answer:
    return of(parse(text.splitlines()))


def ends_in(*names: str) -> Answer:
    """The answer to one thread that waits, in the kernel, in these functions."""
    one = thread(1, wait_mode="KernelMode", stack=stack(*waiting(*names)), wait_objects=(event(5, 2),))
    return of(DebuggerLog(threads=(one,)))


def processes(*rows: tuple[str, int | None, int | None]) -> DebuggerLog:
    return DebuggerLog(
        processes=tuple(
            Process(line, 0x1000 + line, line, parent, image=image, handle_count=handles)
            for line, (image, handles, parent) in enumerate(rows, 1)
        )
    )


def test_a_healthy_log_gives_no_finding() -> None:
    scene = Scene()
    for number in range(50):
        scene.idle(number)
    healthy = replace(
        scene.log(),
        processes=tuple(Process(n, n, n, 4, image="svchost.exe", handle_count=300 + n) for n in range(1, 60)),
    )
    found = of(healthy)
    assert found.findings == ()
    assert found.suspect is None
    assert found.missing == ()
    assert found.next_steps == ()


def test_healthy_pools_give_no_finding() -> None:
    found = read(
        "0: kd> !vm\n*** Virtual Memory Usage ***\n"
        "NonPagedPool Usage: 10042   (   40168 Kb)\nNonPagedPool Max:   68537   (  274148 Kb)\n"
        "PagedPool Usage:    20000   (   80000 Kb)\nPagedPool Maximum:  40960   (  163840 Kb)\n"
    )
    assert found.patterns == ()


@pytest.mark.parametrize("pool", ["Paged", "NonPaged"])
def test_a_pool_that_is_nearly_full_is_found_and_the_other_is_not(pool: str) -> None:
    ending = "Maximum" if pool == "Paged" else "Max"
    found = read(
        "0: kd> !vm\n*** Virtual Memory Usage ***\n"
        f"{pool}Pool Usage:    36000   (   144000 Kb)\n{pool}Pool {ending}:  40960   (  163840 Kb)\n"
    )
    assert found.patterns == (f"insufficient_memory_{pool.lower()}_pool",)
    assert found.suspect is not None
    assert found.suspect.kind == f"{pool.lower()}_pool"


def test_the_debuggers_own_warning_counts_for_its_pool_alone() -> None:
    found = read(
        "0: kd> !vm\n*** Virtual Memory Usage ***\n"
        "NonPagedPool Usage: 10042   (   40168 Kb)\nNonPagedPool Max:   68537   (  274148 Kb)\n"
        "********** Excessive Paged Pool Usage *****\n"
        "PagedPool Usage:    20000   (   80000 Kb)\nPagedPool Maximum:  40960   (  163840 Kb)\n"
    )
    assert found.patterns == ("insufficient_memory_paged_pool",)


def test_a_pool_tag_names_the_driver_whose_name_begins_like_it() -> None:
    found = read(
        "0: kd> !vm\n*** Virtual Memory Usage ***\n"
        "PagedPool Usage:    36000   (   144000 Kb)\nPagedPool Maximum:  40960   (  163840 Kb)\n\n"
        "0: kd> !poolused 4\n   Sorting by Paged Pool Consumed\n\n  Pool Used:\n"
        "            NonPaged            Paged\nTag    Allocs     Used    Allocs     Used\n"
        "CM         85     5440     11045 47915424\nOurs        0        0       186 34391520\n\n"
        "0: kd> lm\nstart    end        module name\n80000000 80100000   ourscan    (deferred)\n"
    )
    assert found.suspect is not None
    assert (found.suspect.kind, found.suspect.tag) == ("driver", "Ours")
    assert found.suspect.module.startswith("ourscan")


@pytest.mark.parametrize(
    ("names", "kind", "module"),
    [
        (("FooDrv!Block", "nt!IofCallDriver", *_SYSCALL), "driver", "FooDrv"),
        (
            ("FLTMGR!FltSendMessage", "savonaccess!Scan", "FLTMGR!FltpDispatch", *_SYSCALL),
            "driver",
            "savonaccess",
        ),
        (("rdbss!RxWait", "mrxsmb!Transceive", *_SYSCALL), "machine", ""),
        (("nt!KiAcquireFastMutex", "BarDrv!Take", *_SYSCALL), "driver", "BarDrv"),
    ],
)
def test_the_first_foreign_module_under_the_wait_is_named(
    names: Sequence[str], kind: str, module: str
) -> None:
    found = ends_in(*names).suspect
    assert found is not None
    assert (found.kind, found.module) == (kind, module)


def test_a_well_known_maker_is_named_with_its_driver() -> None:
    found = ends_in("savonaccess!Scan", *_SYSCALL)
    assert found.suspect is not None
    assert found.suspect.vendor == "Sophos"
    assert "Call Sophos, who make savonaccess." in found.next_steps


def test_a_thread_that_was_asked_for_by_name_is_blocked_and_one_of_a_list_is_idle() -> None:
    names = waiting("nt!KiSystemServiceCopyEnd", "ntdll!NtWaitForSingleObject", "DllA!Wait", "app1!main")
    log = DebuggerLog(threads=(thread(1, stack=stack(*names), wait_objects=(event(5, 2),)),))
    asked = replace(log, commands=(Command(1, "!thread 80000100 1f"),))
    assert of(log).patterns == ()
    assert "blocked_thread" in of(asked).patterns
    suspect = of(asked).suspect
    assert suspect is not None
    assert (suspect.kind, suspect.module) == ("module", "DllA")


def test_a_filter_under_the_filter_manager_is_said_to_be_one() -> None:
    assert "file_system_filter" in ends_in("AvFilter!Scan", "FLTMGR!FltpDispatch", *_SYSCALL).patterns


def test_a_wait_in_a_redirector_couples_machines() -> None:
    assert "coupled_machines" in ends_in("rdbss!RxWait", "mrxsmb!Transceive", *_SYSCALL).patterns


def test_a_deadlock_is_one_only_when_the_circle_is_closed() -> None:
    circle, line = Scene(), Scene()
    circle.chain([1, 2, 3], ["mutant"] * 3, closed=True)
    line.chain([1, 2, 3], ["mutant"] * 3)
    assert "deadlock" in of(circle.log()).patterns
    assert "deadlock" not in of(line.log()).patterns


def test_each_link_of_a_chain_is_reported_by_its_kind() -> None:
    scene = Scene()
    scene.chain([1, 2, 3, 4, 5, 6], ["lpc", "mutant", "critical_section", "eresource", "process"])
    kinds = {name for name in of(scene.log()).patterns if name.startswith("wait_chain_")}
    assert kinds == {
        f"wait_chain_{kind}" for kind in ("lpc", "mutant", "critical_section", "eresource", "process")
    }


def test_a_leak_of_handles_stands_out_from_the_other_processes() -> None:
    leak = processes(("a.exe", 300, 4), ("b.exe", 500, 4), ("leak.exe", 9000, 4))
    busy = processes(("a.exe", 1800, 4), ("b.exe", 1500, 4), ("c.exe", 2600, 4))
    assert of(leak).patterns == ("handle_leak",)
    assert of(busy).patterns == ()


def test_a_factory_of_processes_is_one_beyond_the_number_of_sessions() -> None:
    many = processes(*[("worker.exe", 10, 77)] * 30)
    sessions = processes(*[("csrss.exe", 10, 5), ("notes.exe", 10, None)] * 30)
    assert of(many).patterns == ("process_factory",)
    assert of(sessions).patterns == ()


def test_a_running_thread_is_spiking_after_long_work_and_never_when_idle() -> None:
    busy = thread(1, state="RUNNING", processor=0, user_seconds=50.0, kernel_seconds=1.0)
    idle = replace(busy, image="Idle", stack=stack("nt!KiIdleLoop"))
    assert of(DebuggerLog(threads=(busy,))).patterns == ("spiking_thread",)
    assert of(DebuggerLog(threads=(idle,))).patterns == ()


def test_every_finding_carries_the_lines_that_show_it() -> None:
    scene = Scene()
    scene.chain([1, 2, 3], ["lpc", "mutant"])
    assert all(finding.lines for finding in of(scene.log()).findings)


def test_every_entry_of_the_catalog_explains_itself() -> None:
    for name, entry in CATALOG.items():
        assert name == entry.id
        assert entry.rule.__doc__
        assert entry.meaning.endswith(".")
        assert entry.remedy.endswith(".")
        assert entry.source.startswith("https://")


def test_what_is_missing_is_asked_for_by_name() -> None:
    scene = Scene()
    scene.chain([1, 2], ["mutant"])
    only_waiter = replace(scene.log(), threads=tuple(scene.threads[:1]))
    assert of(only_waiter).missing == ("!thread 80000200 1f",)


def test_a_chain_without_doubt_is_surer_than_one_whose_end_is_not_shown() -> None:
    whole, open_ = Scene(), Scene()
    whole.chain([1, 2], ["mutant"])
    open_.chain([1, 2], ["lpc"])
    unserved = replace(open_.log(), lpc_messages=(), threads=tuple(open_.threads[:1]))
    assert of(whole.log()).sureness == "high"
    assert of(unserved).sureness == "low"


def purple(message: str, *frames: str) -> Answer:
    """The answer to a purple screen of ESXi with this message and these functions."""
    stack = "\n".join(f"0x4390:[0x{n:x}]{frame}+0x1f0 stack: 0x0, 0x0" for n, frame in enumerate(frames, 1))
    return read(
        f"VMware ESXi 7.0.3 [Releasebuild-123 x86_64]\n{message}\n"
        f"cr0=0x1 cr2=0xb6ea3fff cr3=0x2\n*PCPU10:4359/vmm0:web PCPU11:4360/idle\n{stack}\n"
        "VMK uptime: 6:09:43:15.399 TSC: 1\n"
    )


@pytest.mark.parametrize(
    ("message", "patterns", "kind"),
    [
        ("PCPU 10: no heartbeat (2/2 IPIs received)", {"psod_no_heartbeat"}, "driver"),
        (
            "PCPU 1 locked up. Failed to ack TLB invalidate.",
            {"psod_no_heartbeat", "stack_is_waiter_not_owner"},
            None,
        ),
        ("LINT1/NMI (motherboard nonmaskable interrupt), undiagnosed.", {"psod_nmi"}, None),
        ("NMI IPI: Panic requested by another PCPU. RIPOFF(base):RBP:CS", {"psod_nmi"}, None),
        ("Machine Check Exception on PCPU10 in world 4359:vmm0:web", {"psod_machine_check"}, "hardware"),
        ("#PF Exception 14 in world 4359:vmm0:web IP 0x418 addr 0x0", set(), "driver"),
        (
            "Spin count exceeded (fooLock) - possible deadlock with PCPU 3",
            {"spin_count_exceeded", "stack_is_waiter_not_owner"},
            "unknown_lock_owner",
        ),
    ],
)
def test_a_purple_screen_blames_a_module_only_where_its_stack_is_of_the_cause(
    message: str, patterns: set[str], kind: str | None
) -> None:
    found = purple(message, "CpuSched_Wait@vmkernel#nover", "foo_Poll@(foonic)#<None>")
    assert set(found.patterns) == {"psod", *patterns}
    assert (found.suspect.kind if found.suspect else None) == kind
    assert kind != "driver" or (found.suspect is not None and found.suspect.module == "foonic")
    (screen,) = (one for one in found.findings if one.pattern == "psod")
    assert screen.figures == {
        "build": "123",
        "vmk_uptime_s": 553395.399,
        "world_id": 4359,
        "active_cpu": 10,
        "cr2": "0xb6ea3fff",
    }


def test_the_lock_of_a_spin_count_is_named_and_its_owner_is_not() -> None:
    found = purple("Spin count exceeded (fooLock) - possible deadlock", "SP_WaitLock@vmkernel#nover")
    assert found.suspect is not None
    assert (found.suspect.kind, found.suspect.lock, found.suspect.module) == (
        "unknown_lock_owner",
        "fooLock",
        "",
    )
    assert (found.sureness, found.why) == ("low", "who holds the lock is not in the log")
    (chain,) = found.chains
    assert [link.symbol for link in chain.links] == ["fooLock"]


def test_a_world_that_only_the_message_names_is_known() -> None:
    found = read(
        "VMware ESXi 7.0.3 [Releasebuild-123 x86_64]\nMachine Check Exception on PCPU7 in world 1234:idle7\n"
    )
    (screen,) = (one for one in found.findings if one.pattern == "psod")
    assert (screen.figures["world_id"], screen.figures["active_cpu"]) == (1234, 7)


def test_a_leak_of_handles_is_named_with_the_type_that_leaks() -> None:
    found = read(
        "0: kd> !handle 0 3 88000400\nPROCESS 88000400\n    SessionId: 0  Cid: 0310    Peb: 7ffdf000\n"
        "    DirBase: 07a6b000  ObjectTable: e1003880  HandleCount: 19000.\n    Image: leak.exe\n\n"
        "Handle table at e19e0000 with 19000 entries in use\n"
        + "Object: 85a6f000  Type: (85ca7b40) Event\n" * 30
        + "Object: 85a6f000  Type: (85ca7b40) File\n"
    )
    (leak,) = found.findings
    assert leak.pattern == "handle_leak"
    assert leak.words == "leak.exe has 19000 handles, 30 of them of the type Event"
    assert read("0:000> !handle\n377 Handles\nType   Count\nEvent  300\n").findings == ()
    assert read("0:000> !handle\n37700 Handles\nType   Count\nEvent  37000\n").patterns == ("handle_leak",)
