"""Was a dump proved to work on this host, or is it only configured?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from collector.checks.kdump_config import Kind, config
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.audit import DumpEstimate
from collector.model.fact import Fact, Facts, number, value
from collector.model.verdict import Verdict

_GIB = 1024**3
_COMPARED = {
    "proof_release": ("release", "the kernel"),
    "proof_cmdline": ("cmdline", "the kernel command line"),
    "proof_crash_size": ("kexec_crash_size", "the reserved memory"),
}


def proven(facts: Facts) -> Verdict | None:
    """KD-12: our own last NMI or the last test of kdumpctl, whichever is newer; else a dump on the host."""
    test = value(facts, "kdump_test") or ""
    ours, whole = facts.get("proof_whole"), value(facts, "proof_whole")
    if ours is not None and whole is not None and _tested_at(test) <= ours.time.timestamp():
        return by_our_own("KD-12", ours, facts, changed_since(facts))
    if test.startswith("success"):
        return good("KD-12", "the last test of kdump wrote a dump")
    if test.startswith("fail"):
        return bad("KD-12", "the last test of kdump failed")
    dumps = lines(facts, "dumps")
    if dumps:
        return good("KD-12", f"this host has dumped before: {dumps[-1]}")
    if is_absent(facts, "dumps"):
        return bad("KD-12", "configured, and never proved: there is neither a drill, nor a test, nor a dump")
    return unknown("KD-12", facts, "dumps")


def calibrated(model: DumpEstimate | None, facts: Facts) -> DumpEstimate | None:
    """The model with the time that this host's own last dump took, where there is one."""
    seconds, ours = number(facts, "proof_seconds"), facts.get("proof_seconds")
    if model is None or seconds is None or ours is None:
        return model
    how = (
        f"{model.how.partition(';')[0]}; {seconds:.0f} s measured from the NMI to a whole dump of "
        f"{_size(facts)} on {ours.time:%Y-%m-%d}"
    )
    return replace(model, seconds=seconds, how=how)


def changed_since(facts: Facts) -> Iterator[str]:
    """What is another now than when our last dump was made, in words."""
    for then, (now, what) in _COMPARED.items():
        before, after = value(facts, then), value(facts, now)
        if before is not None and after is not None and before != after:
            yield f"{what} ({before} then, {after} now)" if "cmdline" not in then else what
    path, found = value(facts, "proof_path"), config(facts)
    if path is not None and found is not None and found.target.kind is not Kind.LOCAL:
        yield f"the target ({found.target.kind} now)"
    elif path is not None and found is not None and not found.target.device:
        folder = found.target.path.rstrip("/")
        if not path.startswith(f"{folder}/"):
            yield f"the target ({folder} now)"


def by_our_own(check: str, ours: Fact, facts: Facts, changed: Iterable[str] = ()) -> Verdict:
    """What `ours`, the fact `proof_whole` of our last NMI, proves; less when something has changed."""
    day = f"{ours.time:%Y-%m-%d}"
    what = "the drill" if value(facts, "proof_drill") == "yes" else "the last NMI"
    if ours.value != "yes":
        reason = value(facts, "proof_reason") or "nobody knows why"
        return bad(check, f"{what} of {day} left no whole dump: {reason} ({ours.source})")
    since = ", ".join(changed)
    if since:
        return bad(check, f"{what} of {day} wrote a dump; since then another: {since} ({ours.source})")
    seconds = value(facts, "proof_seconds")
    took = f" in {seconds} s" if seconds else ""
    return good(check, f"{what} of {day} wrote a whole dump of {_size(facts)}{took} ({ours.source})")


def _size(facts: Facts) -> str:
    size = number(facts, "proof_bytes") or 0.0
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 1024**2:.0f} MiB"


def _tested_at(status: str) -> float:
    """When kdumpctl's test ran: `success kdump_test_id=EPOCH-NUMBER`; 0 where it does not say."""
    digits = status.partition("kdump_test_id=")[2].partition("-")[0]
    return float(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 12 else 0.0  # noqa: PLR2004
