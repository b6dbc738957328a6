# ruff: noqa: E501 - the lines of a debugger are as long as they are
"""One answer of each command, in the debugger's own format: old and new, 32- and 64-bit."""

from __future__ import annotations

from textwrap import dedent

import pytest

from collector.triage.kdlog import parse
from collector.triage.machine import NoticeKind
from collector.triage.model import DebuggerLog


def read(text: str) -> DebuggerLog:
    return parse(dedent(text).strip("\n").split("\n"))


def test_vm_of_an_old_kernel() -> None:
    vm = read("""
        0: kd> !vm
        *** Virtual Memory Usage ***
        Physical Memory:   500000   ( 2000000 Kb)
        Page File: \\??\\C:\\pagefile.sys
            Current:   2098176Kb Free Space:   1837740Kb
            Minimum:   2098176Kb Maximum:      2098176Kb
        NonPagedPool Usage: 10042   (   40168 Kb)
        ********** Excessive Paged Pool Usage ****
        PagedPool Usage:    32850   (  131400 Kb)
        PagedPool Maximum:  40960   (  163840 Kb)
        ********** 1234 pool allocations have failed **********
          Session ID 3 @ f79c6000:
          Paged Pool Usage:        2432K
          *** 7837 Pool Allocation Failures ***
        08a4 spoolsv.exe      12345 (     49380 Kb)
    """).vm
    assert vm is not None
    assert vm.counters["PagedPool Usage"].kb == 131400
    assert vm.counters["PagedPool Maximum"].line == 10
    (page_file,) = vm.page_files
    assert (page_file.name, page_file.maximum_kb, page_file.free_kb) == (
        "\\??\\C:\\pagefile.sys",
        2098176,
        1837740,
    )
    assert (vm.pool_failures, vm.pool_failures_line) == (1234, 11)
    (session,) = vm.sessions
    assert (session.session, session.paged_pool_kb, session.pool_failures) == (3, 2432, 7837)
    assert [warning.line for warning in vm.warnings] == [8, 11, 14]


def test_vm_of_a_new_kernel_and_its_processes() -> None:
    log = read("""
        3: kd> !vm
        Page File: \\??\\C:\\pagefile.sys
          Current:  16777216 Kb  Free Space:  16700000 Kb
          Minimum:  16777216 Kb  Maximum:     50331648 Kb

        Physical Memory:          8386212 (   33544848 Kb)
        Available Pages:          1000000 (    4000000 Kb)
        NonPagedPoolNx Usage:      200000 (     800000 Kb)
        NonPagedPool Max:      4294967296 (17179869184 Kb)
        PagedPool Usage:           300000 (    1200000 Kb)

        0f64 store.exe     2000000 (   8000000 Kb)
        1a2c svchost.exe     50000 (    200000 Kb)
    """)
    assert log.vm is not None
    assert log.vm.counters["NonPagedPool Max"].kb == 17179869184
    assert [(p.process_id, p.image, p.commit_kb) for p in log.processes] == [
        (0x0F64, "store.exe", 8000000),
        (0x1A2C, "svchost.exe", 200000),
    ]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (
            "NonPaged            Paged\n Tag    Allocs     Used    Allocs     Used",
            " CM         85     5440     11045 47915424",
            (85, None, 5440, 11045, None, 47915424),
        ),
        (
            "NonPaged\nTag    Allocs    Frees     Diff     Used",
            "Io      304      134      170  6550080  general IO allocations , Binary: nt!io",
            (304, 170, 6550080, None, None, None),
        ),
        (
            "Paged\nTag    Allocs    Frees     Diff     Used",
            "Ab d    304      134      170  6550080",
            (None, None, None, 304, 170, 6550080),
        ),
        (
            "NonPaged                  Paged\n Tag  Allocs Frees Diff Used  Allocs Frees Diff Used",
            " MyDr  10  4  6  600  20  9  11  1100",
            (10, 6, 600, 20, 11, 1100),
        ),
    ],
)
def test_pool_tags_of_every_layout(header: str, row: str, expected: tuple[int | None, ...]) -> None:
    (tag,) = parse(["0: kd> !poolused", "  Pool Used:", *header.split("\n"), row, "TOTAL 1 2"]).pool_tags
    assert tag.tag == row[:5].strip()
    assert (
        tag.nonpaged_allocs,
        tag.nonpaged_diff,
        tag.nonpaged_bytes,
        tag.paged_allocs,
        tag.paged_diff,
        tag.paged_bytes,
    ) == expected


def test_critical_sections_one_after_another() -> None:
    sections = read("""
        0: kd> .process /r /p 8ab10460
        Implicit process is now 8ab10460
        0: kd> !cs -l -o -s
        ----------------------------------------
        DebugInfo          = 0x7c8877c0
        Critical section   = 0x7c8877a0 (ntdll!LdrpLoaderLock+0x0)
        LOCKED
        LockCount          = 0xC
        WaiterWoken        = No
        OwningThread       = 0x00003b3c
        RecursionCount     = 0x1
        OwningThread       = .thread 8a1f3c60
        ----------------------------------------
        Critical section   = 0x000007ff7b8c3500 (DllA!Lock+0x0)
        DebugInfo          = 0x00000000000ffea0
        NOT LOCKED
    """).critical_sections
    assert [(s.address, s.symbol, s.locked) for s in sections] == [
        (0x7C8877A0, "ntdll!LdrpLoaderLock", True),
        (0x7FF7B8C3500, "DllA!Lock", False),
    ]
    assert (sections[0].waiters, sections[0].owner_id, sections[0].owner, sections[0].process) == (
        12,
        0x3B3C,
        0x8A1F3C60,
        0x8AB10460,
    )


def test_locks_of_a_process() -> None:
    (section,) = read("""
        0:000> !locks
        CritSec ntdll!LdrpLoaderLock+0 at 77fc2340
        WaiterWoken        No
        LockCount          6
        RecursionCount     1
        OwningThread       a5c
        EntryCount         0
        ContentionCount    17
        *** Locked
    """).critical_sections
    assert (section.address, section.symbol, section.locked) == (0x77FC2340, "ntdll!LdrpLoaderLock", True)
    assert (section.waiters, section.owner_id, section.contention_count) == (6, 0xA5C, 17)


def test_shared_owners_of_a_resource_are_counted_where_they_are_not_listed() -> None:
    (resource,) = read("""
        0: kd> !locks
        Resource @ nt!CmpRegistryLock (0x80478b00)    Shared 10 owning threads
            Contention Count = 9149810
            NumberOfSharedWaiters = 718
            NumberOfExclusiveWaiters = 21
    """).resources
    assert (resource.owners, resource.owner_count, resource.exclusive) == ((), 10, False)
    assert (resource.shared_waiter_count, resource.exclusive_waiter_count) == (718, 21)


def test_lpc_message_in_either_order() -> None:
    messages = read("""
        0: kd> !lpc message 001a2b3c
        Searching message 1a2b3c in threads ...
            Server thread 8a1f3c60 is working on message 1a2b3c
        Client thread 8b02d7c0 waiting a reply from 1a2b3c
        0: kd> !lpc message 7
        Client thread 88db0000 waiting a reply from 7
        Server connection port e1455638  Name: spoolss
            Server process  : 8ab10460 (spoolsv.exe)
    """).lpc_messages
    assert [(m.message, m.server_thread, m.client_thread) for m in messages] == [
        (0x1A2B3C, 0x8A1F3C60, 0x8B02D7C0),
        (7, None, 0x88DB0000),
    ]
    assert (messages[1].server_process, messages[1].server_image, messages[1].port) == (
        0x8AB10460,
        "spoolsv.exe",
        "spoolss",
    )


def test_alpc_message_and_the_thread_that_waits_for_it() -> None:
    log = read("""
        THREAD ffffe00069cdb880  Cid 0c08.43d8  Teb: 00007ff776460000 Win32Thread: 0 WAIT: (WrLpcReply) UserMode Non-Alertable
            ffffe00069cdbec8  Semaphore Limit 0x1
        Waiting for reply to ALPC Message ffffe00012345678 : queued at port ffffe0001 : owned by process ffffe0005c21c080
        0: kd> !alpc /m ffffe00012345678
        Message ffffe00012345678
          MessageID             : 0x01FC (508)
          WaitingThread         : ffffe00069cdb880
          QueuePort             : ffffe00011111110 [ALPC_CONNECTION_PORT]
          QueuePortOwnerProcess : ffffe0005c21c080 (spoolsv.exe)
          ServerThread          : ffffe00022222220
    """)
    (message,) = log.lpc_messages
    assert (message.message, message.server_thread, message.client_thread) == (
        0xFFFFE00012345678,
        0xFFFFE00022222220,
        0xFFFFE00069CDB880,
    )
    assert (message.alpc, message.server_image) == (True, "spoolsv.exe")
    wait = log.threads[0].lpc_wait
    assert wait is not None
    assert (wait.alpc, wait.message, wait.server_process) == (True, message.message, 0xFFFFE0005C21C080)


def test_irp_old_and_new() -> None:
    irps = read("""
        0: kd> !irp 893a7470
        Irp is active with 2 stacks 1 is current (= 0x893a74e0)
         No Mdl: No System Buffer: Thread 89edadb0:  Irp stack trace.
             cmd  flg cl Device   File     Completion-Context
        >[  e, 0]   0  1 8a216f18 8a023f70 00000000-00000000    pending
                \\Driver\\DriverB
           Args: 00000170 00000028 00120004 12cd0010
        1: kd> !irp ffffe000`12345670
        Irp is active with 2 stacks 2 is current (= 0xffffe00012345710)
         No Mdl: No System Buffer: Thread ffffe00069cdb880:  Irp stack trace.
             cmd  flg cl Device   File     Completion-Context
         [N/A(0), N/A(0)]
                    0  0 00000000 00000000 00000000-00000000
        >[IRP_MJ_READ(3), N/A(0)]
                    0 e1 ffffe00011111110 00000000 fffff80011112222-ffffe00033334444 Success Error Cancel pending
                \\Driver\\disk   partmgr!PmIoCompletion
    """).irps
    assert [(irp.address, irp.thread) for irp in irps] == [
        (0x893A7470, 0x89EDADB0),
        (0xFFFFE00012345670, 0xFFFFE00069CDB880),
    ]
    (old,) = irps[0].locations
    assert (old.major, old.device, old.driver, old.pending) == ("e", 0x8A216F18, "\\Driver\\DriverB", True)
    new = irps[1].locations[1]
    assert (new.major, new.current, new.driver) == ("IRP_MJ_READ(3)", True, "\\Driver\\disk")
    assert (new.pending, new.completion) == (True, "partmgr!PmIoCompletion")


def test_irpfind_devstack_and_storunit() -> None:
    log = read("""
        0: kd> !irpfind
          Irp    [ Thread ] irpStack: (Mj,Mn)   DevObj  [Driver]         MDL Process
        8253d7e0 [8250e5b0] irpStack: ( c, 2)  82ac4020 [ \\FileSystem\\Ntfs]
        0: kd> !devstack 8a216f18
          !DevObj   !DrvObj            !DevExt   ObjectName
          89c8d0e0  \\Driver\\volsnap    89c8d198
        > 8a216f18  \\Driver\\ftdisk     8a216fd0  HarddiskVolume1
        !DevNode 8a216a08 :
        0: kd> !storunit
        STORPORT Units:
        ==================
        Product                 SCSI ID  Object            Extension         Pnd Out Ct  State
        ------------------------------------------------------------------------------------
        ACME     Virtual disk   0  0  0  fffffa8001234567  fffffa8001234690    0  41  0  Working
    """)
    assert [(irp.address, irp.locations[0].driver) for irp in log.irps] == [
        (0x8253D7E0, "\\FileSystem\\Ntfs")
    ]
    (stack,) = log.device_stacks
    assert stack.drivers == ("\\Driver\\volsnap", "\\Driver\\ftdisk")
    (unit,) = log.storage_units
    assert (unit.product, unit.outstanding, unit.state) == ("ACME     Virtual disk", 41, "Working")


def test_modules_loaded_unloaded_and_named_by_their_pdb() -> None:
    modules = read("""
        0: kd> lmv m foo
        start             end                 module name
        fffff800`02800000 fffff800`02de0000   nt         (pdb symbols)          c:\\sym\\ntkrnlmp.pdb
        fffff880`01200000 fffff880`01260000   foofilt    (deferred)
            Image path: \\SystemRoot\\system32\\drivers\\foofilt.sys
            Image name: foofilt.sys
            Timestamp:        Tue Jul 14 01:19:48 2009 (4A5BC114)
            CheckSum:         00012345
            File version:     6.1.7600.16385
            CompanyName:      Foo Inc.
        Unloaded modules:
        a5069000 a5084000   MyAVDrv.sys
            Timestamp: unavailable (00000000)
        0: kd> !dh 05c10000
        File Type: DLL
        43A1B2C4 time date stamp Thu Dec 15 18:15:32 2005
         cv           16       10198     f598 Format: NB10, 43a1b2c4, 1, c:\\fooUI.pdb
    """).modules
    assert [(m.name, m.image, m.unloaded) for m in modules] == [
        ("nt", "", False),
        ("foofilt", "foofilt.sys", False),
        ("MyAVDrv", "MyAVDrv.sys", True),
        ("fooUI", "", False),
    ]
    assert (modules[1].file_version, modules[1].company) == ("6.1.7600.16385", "Foo Inc.")
    assert (modules[3].start, modules[3].timestamp) == (0x05C10000, "Thu Dec 15 18:15:32 2005")


def test_processors_that_run_and_threads_that_are_ready() -> None:
    log = read("""
        0: kd> !running -i
        System Processors:  (0000000000000003)
          Idle Processors:  (0000000000000002)
               Prcbs             Current         (pri) Next            (pri) Idle
          0    fffff80002a0ee80  fffffa8003c8db50 ( 8)                       fffff80002a1ccc0  ................
          1    fffff880009b5180  fffff880009c0040 ( 0)                       fffff880009c0040  ................
        0: kd> !ready
        Processor 0: Ready Threads at priority 8
            THREAD fffffa8003cc1b50  Cid 0004.0100  Teb: 0000000000000000 Win32Thread: 0000000000000000 READY on processor 0
        Processor 1: No threads in READY state
    """)
    assert log.idle_processors == 2
    assert [(p.number, p.idle, p.ready_threads) for p in log.processors] == [
        (0, False, ()),
        (1, True, ()),
        (0, None, (0xFFFFFA8003CC1B50,)),
        (1, None, ()),
    ]
    assert [(t.state, t.processor) for t in log.threads] == [("READY", 0)]


def test_stacks_rows_and_their_process() -> None:
    log = read("""
        0: kd> !stacks 2
        Proc.Thread  .Thread  Ticks   ThreadState Blocker
                                    [8ca72020 a.exe]
         4bc.0004c4  8bf76af0 0000cc4 Blocked    nt!KiSwapContext+0x26
                                                 nt!KiSwapThread+0x2e5
                                                 Foo+0x123
         4bc.0004d0  8bf53650 ffc7d369 RUNNING    nt!KeBugCheckEx+0x1b
        Threads Processed: 2
    """)
    first, second = log.threads
    assert (first.address, first.image, first.ticks, first.process) == (
        0x8BF76AF0,
        "a.exe",
        0xCC4,
        0x8CA72020,
    )
    assert first.stack is not None
    assert [frame.module for frame in first.stack.frames] == ["nt", "nt", "Foo"]
    assert (second.state, second.ticks) == ("RUNNING", None)


def test_threads_of_a_user_dump_with_their_stacks() -> None:
    log = read("""
        0:001> ~*kc
        #  0  Id: c08.c0c Suspend: 0 Teb: 00007ff7`765ae000 Unfrozen
         # Call Site
        00 ntdll!NtWaitForSingleObject
        01 vmms!Wait
        .  1  Id: c08.c34 Suspend: 1 Teb: 00007ff7`765a9000 Unfrozen
        0:001> k
        Child-SP          RetAddr           Call Site
        00000000`000adef8 000007ff`7fd6df46 ntdll!ZwDelayExecution+0xa
    """)
    first, second = log.threads
    assert (first.index, first.process_id, first.thread_id) == (0, 0xC08, 0xC0C)
    assert first.stack is not None
    assert [str(frame) for frame in first.stack.frames] == ["ntdll!NtWaitForSingleObject", "vmms!Wait"]
    assert second.suspend_count == 1
    assert second.stack is not None
    assert [str(frame) for frame in second.stack.frames] == ["ntdll!ZwDelayExecution+0xa"]


def test_threads_that_have_one_stack_in_common() -> None:
    log = read("""
        0: kd> !us
        2 threads [stats]: fffffa8003c8db50 fffffa8003c8eb50
            fffff8000148faf2 nt!KiSwapContext+0x7a
            fffff800014a199f nt!KiCommitThreadWait+0x1d2
        1 thread [stats]: fffffa8003c8fb50
            fffff8000148faf2 Foo!Run+0x1
    """)
    assert [thread.address for thread in log.threads] == [
        0xFFFFFA8003C8DB50,
        0xFFFFFA8003C8EB50,
        0xFFFFFA8003C8FB50,
    ]
    assert [thread.stack.frames[0].module for thread in log.threads if thread.stack] == ["nt", "nt", "Foo"]


def test_bug_check_of_analyze() -> None:
    analysis = read("""
        0: kd> !analyze -v
        *******************************************************************************
        *                        Bugcheck Analysis                                    *
        *******************************************************************************
        DPC_WATCHDOG_VIOLATION (133)
        The DPC watchdog detected a prolonged run time at an IRQL of DISPATCH_LEVEL or above.
        Arguments:
        Arg1: 0000000000000001, The system cumulatively spent an extended period of time at
        Arg2: 0000000000001e00, The watchdog period.
        Arg3: fffff80312345678
        Arg4: 0000000000000000
        DPC_TIMEOUT_TYPE:  DPC_QUEUE_EXECUTION_TIMEOUT_EXCEEDED
        PROCESS_NAME:  System
        STACK_TEXT:
        fffff801`1a2b3c48 fffff801`11223344 : 00000000`00000133 00000000`00000001 00000000`00001e00 fffff803`12345678 : nt!KeBugCheckEx
        fffff801`1a2b3c50 fffff801`11223355 : 00000000`00000000 00000000`00000000 00000000`00000000 00000000`00000000 : foonic+0x1234
        IMAGE_NAME:  foonic.sys
    """).analysis
    assert analysis is not None
    assert (analysis.code, analysis.name) == (0x133, "DPC_WATCHDOG_VIOLATION")
    assert analysis.args == (1, 0x1E00, 0xFFFFF80312345678, 0)
    assert analysis.fields["IMAGE_NAME"] == "foonic.sys"
    assert analysis.field_lines["DPC_TIMEOUT_TYPE"] == 12
    assert analysis.stack is not None
    assert [str(frame) for frame in analysis.stack.frames] == ["nt!KeBugCheckEx", "foonic+0x1234"]


def test_adapter_that_resets() -> None:
    log = read("""
        0: kd> !ndiskd.miniport ffffe0004f5f71a0
        MINIPORT
            Foo Network Adapter #2
            Ndis handle        ffffe0004f5f71a0
            Miniport driver    ffffe0004f5b9ba0 - FooDriver  v1.0
        STATE
            Datapath           DIVERTED_BECAUSE_MINIPORT_RESETTING
            NBL status         NDIS_STATUS_RESET_IN_PROGRESS
            Pending OID        OID_RECEIVE_FILTER_SET_FILTER
            Flags              BUS_MASTER, 64BIT_DMA,
                               RESET_IN_PROGRESS
            PnP flags          PM_SUPPORTED
        0: kd> !ndiskd.oid ffffe8012c504090
        OID REQUEST
            OID_RECEIVE_FILTER_SET_FILTER
            Completed:         Not completed
        0: kd> !ndiskd.minidriver ffffe0004f5b9ba0 -handlers
        HANDLERS
            Miniport Handler       Function pointer   Symbol (if available)
            InitializeHandlerEx    fffff80032712fc0   FooDRV+3cfc0
    """)
    (port,) = log.miniports
    assert (port.address, port.name, port.driver) == (
        0xFFFFE0004F5F71A0,
        "Foo Network Adapter #2",
        0xFFFFE0004F5B9BA0,
    )
    assert port.pending_oid == "OID_RECEIVE_FILTER_SET_FILTER"
    assert {"RESET_IN_PROGRESS", "PM_SUPPORTED"} <= set(port.flags)
    assert port.field_lines["NBL status"] == 8
    assert [(oid.name, oid.completed) for oid in log.oid_requests] == [
        ("OID_RECEIVE_FILTER_SET_FILTER", False)
    ]
    assert [(driver.address, driver.modules) for driver in log.minidrivers] == [
        (0xFFFFE0004F5B9BA0, ("FooDRV",))
    ]


def test_a_set_context_is_not_the_stack_of_the_thread() -> None:
    log = read("""
        0: kd> .thread 8a1f3c60
        Implicit thread is now 8a1f3c60
        0: kd> .cxr 02127664
        0: kd> kv
        ChildEBP RetAddr  Args to Child
        0333a97c 77401a2d 05c10000 0333a9d0 00000105 kernel32!GetModuleFileNameW+0x83
        0: kd> .thread 8a1f3c60
        Implicit thread is now 8a1f3c60
        0: kd> k
        ChildEBP RetAddr
        02126cf4 6dfcf8c2 USER32!MessageBoxA+0x45
    """)
    (shown,) = log.context_stacks
    assert (shown.thread, str(shown.stack.frames[0])) == (0x8A1F3C60, "kernel32!GetModuleFileNameW+0x83")
    (thread,) = log.threads
    assert thread.stack is not None
    assert str(thread.stack.frames[0]) == "USER32!MessageBoxA+0x45"


def test_raw_stacks_and_texts() -> None:
    log = read("""
        0: kd> dds 02127634
        02127634  7c82855e ntdll!KiUserExceptionDispatcher+0xe
        02127638  02123000
        02127648  c0000005
        0: kd> da 02126d4c
        02126d4c  "Cannot find the printer."
        0: kd> dpu 011116e0 l1
        011116e0  00158f48 "PRINTER"
    """)
    assert [(word.value, word.symbol) for word in log.raw_words] == [
        (0x7C82855E, "ntdll!KiUserExceptionDispatcher+0xe"),
        (0xC0000005, ""),
    ]
    assert [(text.address, text.text) for text in log.texts] == [
        (0x02126D4C, "Cannot find the printer."),
        (0x158F48, "PRINTER"),
    ]


def test_the_banner_and_the_remarks_about_the_dump() -> None:
    log = read("""
        Loading Dump File [C:\\dumps\\MEMORY.DMP]
        Kernel Complete Dump File: Full address space is available
        Comment: 'LiveKdD dump'
        WARNING: Dump file has been truncated.  Data may be missing.
        Windows Server 2003 Kernel Version 3790 (Service Pack 2) MP (4 procs) Free x86 compatible
        Built by: 3790.srv03_sp2_gdr.100216-1301
        System Uptime: 41 days 3:05:12.345
        Unable to read selector for PCR for processor 1
        CS descriptor's base doesn't match CR3
    """)
    system = log.system
    assert (system.build, system.processors, system.architecture) == (3790, 4, "x86")
    assert system.dump_file == "C:\\dumps\\MEMORY.DMP"
    assert system.uptime_seconds == 41 * 86400 + 3 * 3600 + 5 * 60 + 12.345
    assert [(notice.line, notice.kind) for notice in log.notices] == [
        (3, NoticeKind.INCONSISTENT),
        (4, NoticeKind.TRUNCATED),
        (8, NoticeKind.CORRUPT),
        (9, NoticeKind.INCONSISTENT),
    ]


def test_a_purple_screen() -> None:
    psod = read("""
        VMware ESXi 5.1.0 [Releasebuild-799733 x86_64]
        Spin count exceeded (fooLock) - possible deadlock
        cr2=0xb6ea3fff cr3=0x22401000 cr4=0x6f0
        0:1024/console 1:1094/vmm0:M100 *2:1086/vmware-vm
        @BlueScreen: Spin count exceeded (fooLock) - possible deadlock

        0x1402a3c:[0x626265]Panic+0x10 stack: 0x83821c, 0x2970608

        0x1402a90:[0x634ff3]SP_WaitLock+0x1ca stack: 0x2970600
        VMK uptime: 2:03:04:05.678 TSC: 482031313725001
    """).psod
    assert psod is not None
    assert (psod.lock, psod.build, psod.cpu) == ("fooLock", "799733", 2)
    assert psod.uptime_seconds == 183845.678
    assert psod.cr2 == 0xB6EA3FFF
    assert psod.stack is not None
    assert [frame.function for frame in psod.stack.frames] == ["Panic", "SP_WaitLock"]
    assert list(psod.stack.lines) == [7, 9]


def test_commands_of_a_script_are_known_by_their_markers() -> None:
    log = read("""
        @@CMD !irp 893a7470
        Irp is active with 1 stacks 1 is current (= 0x893a74e0)
    """)
    assert [(command.line, command.text) for command in log.commands] == [(1, "!irp 893a7470")]
    assert [irp.address for irp in log.irps] == [0x893A7470]


def test_frames_of_a_newer_purple_screen_name_their_module() -> None:
    psod = read("""
        VMware ESXi 6.5.0 [Releasebuild-5310538 x86_64]
        PCPU 10: no heartbeat (2/2 IPIs received)
        *PCPU10:4359/vmm0:web PCPU11:4360/idle
        2026-01-01T00:00:00Z cpu10:4359)0x4123:[0x418]SP_WaitLock@vmkernel#nover+0x64 stack: 0x0
    """).psod
    assert psod is not None
    assert psod.message == "PCPU 10: no heartbeat (2/2 IPIs received)"
    assert (psod.cpu, psod.world and psod.world.name, len(psod.worlds)) == (10, "vmm0:web", 2)
    assert psod.stack is not None
    assert str(psod.stack.frames[0]) == "vmkernel!SP_WaitLock+0x64"


def test_a_jump_out_of_a_function_into_another_module_is_a_remark() -> None:
    log = read("""
        0: kd> u ntdll!NtCreateFile
        ntdll!NtCreateFile:
        7c801234 e9c7d9a2f7  jmp  hookdll!Hook (74223456)
        7c801239 e902000000  jmp  ntdll!NtCreateFile+0x20 (7c801254)
        0: kd> !chkimg -lo 50 !ntdll
        5 errors : !ntdll (7c801234-7c801238)
    """)
    assert [(notice.line, notice.kind) for notice in log.notices] == [
        (3, NoticeKind.CODE_CHANGED),
        (6, NoticeKind.CODE_CHANGED),
    ]


def test_running_of_an_old_debugger() -> None:
    log = read("""
        0: kd> !running
        System Processors 3 (affinity mask)
          Idle Processors 0
             Prcb      Current   Next
          0  ffdff120  88a43ca8            ................
          1  f7727120  88aa1ae0            ................
    """)
    assert log.idle_processors == 0
    assert [processor.thread for processor in log.processors] == [0x88A43CA8, 0x88AA1AE0]


def test_session_pool_has_a_maximum() -> None:
    vm = read("""
        0: kd> !vm 4
        *** Virtual Memory Usage ***
        Session Paged Pool Maximum is 32768K
          Session ID 2 @ a0000000:
          Paged Pool Usage:       32716K

          *** 12 Pool Allocation Failures ***
    """).vm
    assert vm is not None
    assert vm.counters["Session Paged Pool Maximum"].kb == 32768
    assert [(s.session, s.paged_pool_kb, s.pool_failures) for s in vm.sessions] == [(2, 32716, 12)]


def test_a_stack_is_read_without_its_column_names() -> None:
    log = read("""
        THREAD 89edadb0  Cid 09fc.1050  Teb: 7ff54000 Win32Thread: 00000000 WAIT: (Unknown) KernelMode Non-Alertable
        [...]
        f3a9b560 f083d26e nt!KiSwapContext+0x26
        f3a9b5f4 f68663e3 DriverA!Block+0x1b
    """)
    (thread,) = log.threads
    assert thread.wait_objects == ()
    assert thread.stack is not None
    assert [frame.module for frame in thread.stack.frames] == ["nt", "DriverA"]


def test_part_of_an_analysis_is_read() -> None:
    log = read("""
        BLOCKED_THREAD:  8a6d1234

        LOCK_ADDRESS:  8055a4e0 -- (!locks 8055a4e0)

        Resource @ nt!PiEngineLock (0x8055a4e0)    Exclusively owned
            Contention Count = 12
             Threads: 8a6d1234-01<*>
        DEFAULT_BUCKET_ID:  APPLICATION_HANG
        STACK_TEXT:
        f3a9b560 8083d26e 00000000 00000000 00000000 nt!KiSwapContext+0x26
    """)
    assert log.analysis is not None
    assert list(log.analysis.fields) == ["DEFAULT_BUCKET_ID", "STACK_TEXT", "BLOCKED_THREAD", "LOCK_ADDRESS"]
    assert log.analysis.stack is not None
    assert [resource.owners for resource in log.resources] == [(0x8A6D1234,)]


def test_shared_and_exclusive_waiters_of_a_resource_are_two_things() -> None:
    (resource,) = read("""
        0: kd> !locks
        Resource @ 0x85610d30    Exclusively owned
            Contention Count = 4
             Threads: 86ba5638-01<*>
             Threads Waiting On Shared Access:
                      85a6f000       85a6f400       85a6f800
                      85a6fc00
             Threads Waiting On Exclusive Access:
                      85a6fdb0
    """).resources
    assert resource.shared_waiters == (0x85A6F000, 0x85A6F400, 0x85A6F800, 0x85A6FC00)
    assert resource.exclusive_waiters == (0x85A6FDB0,)


def test_handles_of_a_process_in_a_kernel_dump_are_counted_by_their_type() -> None:
    (table,) = read("""
        kd> !handle 0 7 fffffa8001be6b30
        PROCESS fffffa8001be6b30
            SessionId: 1  Cid: 0310    Peb: 7fffffdf000  ParentCid: 0910
            DirBase: 07a6b000  ObjectTable: fffff8a00192f600  HandleCount:  90.
            Image: leak.exe

        Handle table at fffff8a0019e0000 with 90 entries in use

        0034: Object: fffffa8001a6e7c0  GrantedAccess: 000f037f Entry: fffff8a0019e00d0
        Object: fffffa8001a6e7c0  Type: (fffffa8000ca7b40) Event
            ObjectHeader: fffffa8001a6e790 (new version)
        0038: Object: fffffa8001cfe830  GrantedAccess: 000f01ff Entry: fffff8a0019e00e0
        Object: fffffa8001cfe830  Type: (fffffa8000ca79f0) Event
        003c: Object: fffffa8001cfe840  GrantedAccess: 000f01ff Entry: fffff8a0019e00f0
        Object: fffffa8001cfe840  Type: (fffffa8000ca79f0) ALPC Port
        kd> !vm
    """).handle_tables
    assert (table.image, table.count, table.types) == ("leak.exe", 90, {"Event": 2, "ALPC Port": 1})


def test_handles_of_a_user_dump_are_read_from_their_sum() -> None:
    (table,) = read("""
        0:000> !handle
        Handle 0000000000000004
          Type         Directory
        377 Handles
        Type                     Count
        None                     26
        Event                    300
        ALPC Port                9
        0:000> ~
    """).handle_tables
    assert (table.line, table.count) == (4, 377)
    assert table.types == {"None": 26, "Event": 300, "ALPC Port": 9}


def test_threads_with_the_same_stack_are_known_by_their_numbers_in_a_user_dump() -> None:
    log = read("""
        0:000> ~
        .  0  Id: 1a4.1c8 Suspend: 1 Teb: 00000000`00f1d000 Unfrozen
           1  Id: 1a4.2c8 Suspend: 1 Teb: 00000000`00f1f000 Unfrozen
           2  Id: 1a4.3c8 Suspend: 1 Teb: 00000000`00f21000 Unfrozen
        0:000> !mex.us
        2 threads [stats]: 1 2
            00007ff87494d084 ntdll!NtWaitForSingleObject+0x14
            (Inline)         app!invoke+0x22             (c:\\src\\a.cpp @ 29)
            00007ff822f2970e app!Worker+0x4f0d           (c:\\src\\a.cpp @ 30)

        1 thread [stats]: 0
            00007ff87494d084 ntdll!NtWaitForSingleObject+0x14

        2 stack(s) with 3 threads displayed (3 Total threads)
    """)
    stacks = {
        (one.thread_id, one.index): [str(frame) for frame in one.stack.frames]
        for one in log.threads
        if one.stack
    }
    shared = ["ntdll!NtWaitForSingleObject+0x14", "app!invoke+0x22", "app!Worker+0x4f0d"]
    assert stacks == {(0x2C8, 1): shared, (0x3C8, 2): shared, (0x1C8, 0): shared[:1]}


def test_a_thread_of_uniqstack_keeps_its_stack_under_its_priority() -> None:
    (thread,) = read("""
        0:000> !uniqstack
        Processing 1 threads, please wait

        .  0  Id: f0f0.15c Suspend: 1 Teb: 00000000`7fff8000 Unfrozen
              Start: app!main (00000000`00400000)
              Priority: 0  Priority class: 32
        Child-SP          RetAddr           Call Site
        00000000`0006e5e0 00000000`6b009840 ntdll!NtWaitForSingleObject+0x14
    """).threads
    assert thread.stack is not None
    assert [str(frame) for frame in thread.stack.frames] == ["ntdll!NtWaitForSingleObject+0x14"]


def test_two_user_dumps_of_one_log_do_not_share_their_threads() -> None:
    log = read("""
        0:000> ~
        .  0  Id: 1a4.1c8 Suspend: 1 Teb: 00f1d000 Unfrozen
        0:000> ~
        .  0  Id: 2b4.2c8 Suspend: 1 Teb: 00f1d000 Unfrozen
    """)
    assert [(one.process_id, one.thread_id) for one in log.threads] == [(0x1A4, 0x1C8), (0x2B4, 0x2C8)]


def test_locks_with_the_threads_shown_between_their_names() -> None:
    log = read("""
        0: kd> !locks -v
        Resource @ 0x85610d30    Exclusively owned
            Contention Count = 4
            NumberOfExclusiveWaiters = 2
             Threads: 86ba5638-01<*>

             THREAD 86ba5638  Cid 0001.0002  Teb: 7ff83000 Win32Thread: 00000000 WAIT: (Executive) KernelMode Non-Alertable
                 8743270c  SynchronizationEvent
             Not impersonating
             ChildEBP RetAddr
             f3a9b560 8083d26e nt!KiSwapContext+0x26

             Threads Waiting On Exclusive Access:
                      85a6fdb0       85a6f000

             THREAD 85a6fdb0  Cid 0003.0004  Teb: 7ff83000 Win32Thread: 00000000 WAIT: (Executive) KernelMode Non-Alertable
                 8743270c  SynchronizationEvent

        Resource @ 0x85610e30    Shared 1 owning threads
             Threads: 85a6f000-01<*>
    """)
    first, second = log.resources
    assert (first.owners, first.exclusive_waiters) == ((0x86BA5638,), (0x85A6FDB0, 0x85A6F000))
    assert second.owners == (0x85A6F000,)
    assert [one.address for one in log.threads] == [0x86BA5638, 0x85A6FDB0]
