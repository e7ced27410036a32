# SPDX-License-Identifier: GPL-2.0-only
"""What VTL0 may do with which page, told by the emulated hypervisor's map: it lies
in guest memory, where the host reads it. The buffers are those of a driver that is
only for this: guest/dpmgr_vtl0.c."""

import collections
import itertools
import re
import struct

import steps
from scenarios import (ERRORS, INVALID, NO_ROOM, expect, expect_in,
                       expect_nothing_claimed, expect_refused, mapped, ours, scenario)
from steps import DEBUGFS, SMALL, pages_of

WARNINGS = 4  # KERN_WARNING

NO_DEVICE = "No such device"                  # -ENODEV
NOT_SUPPORTED = "Operation not supported"     # -EOPNOTSUPP

MAP = 0x26100000
APPEND = steps.memmap(SMALL._replace(reserved=[*SMALL.reserved, f"1M${MAP:#x}"]))
EMULATED = f"vtl=emulated emul_state=1M@{MAP:#x}"
LOAD = f"{steps.load_command(SMALL)} {EMULATED}"

# The manager's pages that VTL0 has no business with, unless they are opened to it.
GUARDED = {*pages_of(SMALL.private), *pages_of(SMALL.state)}

# What VTL0 may do with a page.
CLOSED = 0
READ_WRITE = 0x3
ALL = 0xf


def read_map(path):
    """What VTL0 may do with each page of the partition, by page number: the map, as
    dma_pool_mgr/vtl_emul.h has it."""
    with open(path, "rb") as ram:
        ram.seek(MAP)
        header = ram.read(4096)
        magic, version, nr_extents = struct.unpack_from("<8sII", header)
        expect((magic, version) == (b"DPMGRVTL", 1), f"no map: {magic} {version}")
        extents = [struct.unpack_from("<QQ", header, 16 + 16 * i)
                   for i in range(nr_extents)]
        nr_pages = sum(length for _, length in extents)
        flags = itertools.chain.from_iterable(
            (byte & 0xf, byte >> 4) for byte in ram.read((nr_pages + 1) // 2))
        return dict(zip((base + i for base, length in extents for i in range(length)),
                        flags))


def some(pages):
    """A few of them, to be shown."""
    return " ".join(f"{page:#x}" for page in sorted(pages)[:8]) + f" ({len(pages)} in all)"


def expect_open(path, wanted, closed=frozenset()):
    """Exactly the pages WANTED are open for reading and writing; no other page that
    is the manager's is open at all, nor any in CLOSED. What it never had is as the
    map began: open."""
    flags = read_map(path)
    touched = {page for page in flags if flags[page] not in (CLOSED, ALL)}
    expect(touched == wanted,
           f"opened and not to be: {some(touched - wanted)}; "
           f"not opened: {some(wanted - touched)}")
    other = {page for page in wanted if flags[page] != READ_WRITE}
    expect(not other, f"not open for reading and writing alone: {some(other)}")
    still_open = {page for page in (GUARDED | closed) - wanted if flags[page] != CLOSED}
    expect(not still_open, f"still open: {some(still_open)}")


Pages = collections.namedtuple("Pages", "pool stock locked")


def load_vtl0(guest, verb):
    """Load the driver, which must say VERB of its persistent buffers; return the
    pages of these, of what it left in stock, and its locked ones."""
    guest.dmesg()
    guest.run("modprobe dpmgr_vtl0")
    log = guest.dmesg()
    pages = Pages(set(), set(), set())
    said = []
    for tag, what, runs in re.findall(
            r"^dpmgr_vtl0: (\S+) (\S+):((?: 0x[0-9a-f]+\+\d+)+)$", log, re.M):
        said.append((tag, what))
        for run in runs.split():
            first, length = run.split("+")
            getattr(pages, tag).update(range(int(first, 16), int(first, 16) + int(length)))
    expect(said == [*3 * [("pool", verb)], ("stock", "allocated"),
                    *2 * [("locked", "allocated")]],
           f"the driver did not say that its buffers are {verb}:\n{log}")
    expect(tuple(map(len, pages)) == (609, 5, 23), f"of other lengths: {pages}")
    expect(pages.pool.union(pages.stock).issubset(pages_of(SMALL.private)),
           f"not of the private pool: {pages}")
    expect(not pages.locked & GUARDED, f"locked pages of the manager's: {pages}")
    return pages


# What is wrong, parameters, the error, and the log's one line.
BAD = [
    ("a map in System RAM", "vtl=emulated emul_state=1M@0x10000000", INVALID,
     "emul_state=1M@0x10000000: not wholly in reserved memory"),
    ("an unknown hypervisor", "vtl=bogus", INVALID,
     "vtl=bogus: must be auto, none, hyperv or emulated"),
    ("a hypervisor that is not there", "vtl=hyperv", NO_DEVICE,
     "vtl=hyperv: this kernel does not run above VTL0 on Hyper-V"),
    ("an emulated hypervisor where hardware isolates",
     "isolation=snp test_platform=1 vtl=emulated",
     NOT_SUPPORTED, "vtl=emulated: this platform isolates by hardware"),
    ("a place for the map of no emulated hypervisor", f"emul_state=1M@{MAP:#x}", INVALID,
     f"emul_state=1M@{MAP:#x}: only with vtl=emulated"),
    ("a map on the state region", f"vtl=emulated emul_state={SMALL.state}", INVALID,
     f"emul_state={SMALL.state}: overlaps state={SMALL.state}"),
    ("a map that is too small for the RAM", f"vtl=emulated emul_state=8K@{MAP:#x}",
     NO_ROOM, "vtl=emulated: the memory is too small for the partition's map"),
]


def refusals(test, guest):
    mapped_before = mapped(guest)
    for what, parameters, error, line in BAD:
        with test.case(f"refused: {what}", go_on=True):
            log = ours(expect_refused(guest, f"{steps.load_command(SMALL)} {parameters}",
                                      error, ERRORS))
            expect(len(log) == 1 and log[0].startswith("dma_pool_mgr: " + line),
                   f"one line with {line!r} was expected: {log}")
            expect_nothing_claimed(guest)
            expect(mapped(guest) == mapped_before, "something is still mapped")


@scenario
def vtl(test):
    ram = test.ram()
    with test.boot(APPEND, ram=ram) as guest:
        refusals(test, guest)
        with test.case("an emulated hypervisor comes with a warning"):
            guest.dmesg()
            guest.run(LOAD)
            expect_in("^dma_pool_mgr: vtl=emulated: for tests only", guest.dmesg(WARNINGS),
                      "the log")
        with test.case("all RAM starts open to VTL0, and a load closes the private pool "
                       "and the state region"):
            flags = read_map(ram)
            missing = GUARDED.union(pages_of(SMALL.shared)) - flags.keys()
            expect(not missing, f"not in the map: {some(missing)}")
            closed = {page for page in flags if flags[page] != ALL}
            expect(closed == GUARDED, f"closed and not to be: {some(closed - GUARDED)}; "
                                      f"not closed: {some(GUARDED - closed)}")
            expect_open(ram, set())
        with test.case("a VTL0 client's buffers are open for reading and writing, those "
                       "of the pool and locked pages; so is the stock, and nothing else"):
            first = load_vtl0(guest, "allocated")
            expect_open(ram, first.pool | first.stock | first.locked)

        steps.kexec(guest)
        with test.case("after kexec exactly what was saved is open: not the stock, nor "
                       "the first kernel's locked pages"):
            expect_open(ram, first.pool, closed=first.locked)
        with test.case("a generation with open pages is refused where nobody could "
                       "close them"):
            log = ours(expect_refused(guest, steps.load_command(SMALL), NOT_SUPPORTED,
                                      ERRORS))
            expect(len(log) == 1 and log[0].startswith(
                       "dma_pool_mgr: saved pages are open to VTL0"), f"the log says {log}")
            expect_nothing_claimed(guest)
        with test.case("a load restores it, and still exactly that is open"):
            guest.run(LOAD)
            expect_in("^found +restored$", guest.run(f"cat {DEBUGFS}/state"), "state")
            expect_open(ram, first.pool, closed=first.locked)
        with test.case("the driver gets its buffers back, open as they were"):
            second = load_vtl0(guest, "restored")
            expect(second.pool == first.pool, f"restored: {some(second.pool)}")
            expect_open(ram, second.pool | second.stock | second.locked,
                        closed=first.locked)

        guest.send("reboot -f")
        guest.wait_end("reboot")
    locked = first.locked | second.locked
    with test.case("after a plain reboot no page is open, of the pool or locked"):
        expect_open(ram, set(), closed=locked)
    with test.boot(APPEND, ram=ram) as guest:
        with test.case("nor is one after the next load, which restores nothing"):
            guest.run(LOAD)
            expect_in("^found +spent$", guest.run(f"cat {DEBUGFS}/state"), "state")
            expect_open(ram, set(), closed=locked)
        with test.case("freed buffers of the pool stay open, in stock; locked pages are "
                       "closed"):
            third = load_vtl0(guest, "allocated")
            guest.run("rmmod dpmgr_vtl0")
            expect_open(ram, third.pool | third.stock, closed=third.locked)
        with test.case("with the module gone, no page is open"):
            guest.run("rmmod dma_pool_mgr")
            expect_open(ram, set(), closed=third.locked)
            expect_nothing_claimed(guest)
        guest.run(LOAD)
        fourth = load_vtl0(guest, "allocated")
    # And the power is cut.
    with test.boot(APPEND, ram=ram) as guest:
        with test.case("after a power cut, a load closes what was left open of the pool; "
                       "which pages were locked it can't know"):
            expect_open(ram, fourth.pool | fourth.stock | fourth.locked)
            guest.run(LOAD)
            expect_open(ram, fourth.locked)
        guest.power_off()
