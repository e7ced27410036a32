# SPDX-License-Identifier: GPL-2.0-only
"""Loads whose parameters are not those that a generation was saved with. The host looks
at all reserved memory: none of them may have written to it."""

import hashlib

import soak
import state
import steps
from scenarios import (ERRORS, INVALID, expect, expect_in, expect_nothing_claimed,
                       expect_refused, ours, scenario)
from steps import DEBUGFS, SYSFS

CLIENTS = 6
START = 0x20000000
SIZE = 112 << 20
SHARED = "16M@0x20000000"
PRIVATE = "16M@0x22000000,16M@0x23000000"
STATE = "1M@0x26000000"
RANGES = steps.Ranges(SHARED, PRIVATE, STATE, ["112M$0x20000000"])
BAD_MESSAGE = "Bad message"

# What is wrong, the parameters, and what the log names beside the state region.
WRONG = [
    ("a letter is wrong in state=", f"shared={SHARED} private={PRIVATE} stat={STATE}",
     f"shared={SHARED}"),
    ("a letter is wrong in state=, and none is said, too",
     f"private={PRIVATE} stat={STATE} state=none", "private=16M@0x22000000"),
    ("state= is elsewhere", f"shared={SHARED} private={PRIVATE} state=1M@0x25000000",
     f"shared={SHARED}"),
    ("state= is inside a saved pool", "state=1M@0x22800000",
     "state=1M@0x22800000: as private=16M@0x22000000 it"),
    ("state= is a saved pool's start", "state=1M@0x23000000",
     "state=1M@0x23000000: as private=16M@0x23000000 it"),
    ("the pools are swapped, and state= is elsewhere",
     f"shared={PRIVATE} private={SHARED} state=1M@0x25000000",
     f"private={SHARED}: as shared=16M@0x20000000 it"),
    ("a pool is only the inside of what it was", "private=4M@0x23400000 state=none",
     "private=4M@0x23400000: as private=16M@0x23000000 it"),
    ("a pool is only the last page of what it was",
     "private=4K@0x23fff000 state=1M@0x25000000",
     "private=4K@0x23fff000: as private=16M@0x23000000 it"),
    ("pools are joined to one that covers the state region",
     "private=112M@0x20000000 state=none",
     "private=112M@0x20000000: as shared=16M@0x20000000 it"),
    ("a pool covers the state region", "private=2M@0x25f00000 state=none",
     f"private=2M@0x25f00000: as state={STATE} it"),
    ("a pool is inside the state region", "private=64K@0x26040000 state=none",
     f"private=64K@0x26040000: as state={STATE} it"),
]

# With the right region, where it is the generation that tells.
UNFIT = [
    ("the pools are swapped", f"shared={PRIVATE} private={SHARED} state={STATE}"),
    ("a pool is forgotten", f"private={PRIVATE} state={STATE}"),
]


def memory(ram):
    """A digest of all that is reserved."""
    with open(ram, "rb") as file:
        file.seek(START)
        return hashlib.sha256(file.read(SIZE)).hexdigest()


def save(guest):
    """Fill both pools' ranges and commit; return the buffers."""
    soak.load(guest, CLIENTS)
    soak.command(guest, "change", "5 300")
    held = soak.buffers(guest)
    guest.run(f"echo commit > {SYSFS}/action")
    guest.run("rmmod dpmgr_soak")
    guest.run("rmmod dma_pool_mgr")
    return held


def expect_unwritten(guest, ram, parameters, before):
    log = ours(expect_refused(guest, f"modprobe dma_pool_mgr {parameters}",
                              BAD_MESSAGE, ERRORS))
    expect_nothing_claimed(guest)
    expect(memory(ram) == before, "something was written to reserved memory")
    return log


def expect_cold(guest, ram, found):
    guest.run(steps.load_command(RANGES))
    expect_in(f"^found +{found}$", guest.run(f"cat {DEBUGFS}/state"), "state")
    soak.load(guest, CLIENTS)
    expect(not any(soak.buffers(guest).values()), "a driver has buffers")
    guest.run("rmmod dpmgr_soak")
    guest.run("rmmod dma_pool_mgr")


@scenario
def wrong_parameters(test):
    ram = test.ram()
    with test.boot(steps.memmap(RANGES), ram=ram) as guest:
        guest.run(steps.load_command(RANGES))
        held = save(guest)
        before = memory(ram)
        for what, parameters, named in WRONG:
            with test.case(f"refused, and nothing is written, where {what}", go_on=True):
                log = expect_unwritten(guest, ram, parameters, before)
                expect(len(log) == 1 and named in log[0]
                       and "belongs to generation 1 saved in " in log[0]
                       and f"state={STATE}; load with that" in log[0], f"the log says {log}")
        for what, parameters in UNFIT:
            with test.case(f"refused, and nothing is written, where {what}", go_on=True):
                expect_unwritten(guest, ram, parameters, before)
        with test.case("the right load after all of them restores every buffer"):
            guest.run(steps.load_command(RANGES))
            soak.load(guest, CLIENTS)
            expect(soak.buffers(guest) == held, "the buffers are not those of before")
            soak.expect_contents(ram, {buffer for name in held for buffer in held[name]})
            guest.run(f"echo commit > {SYSFS}/action")
            guest.run("rmmod dpmgr_soak")
            guest.run("rmmod dma_pool_mgr")
        discard(test, guest, ram)
        none(test, guest)
        next_kernel(test, guest, ram)
        guest.power_off()


def discard(test, guest, ram):
    with test.case("restore=discard with a state region elsewhere spends what it passes "
                   "by"):
        guest.run(f"modprobe dma_pool_mgr shared={SHARED} private={PRIVATE} "
                  "state=1M@0x25000000 restore=discard && rmmod dma_pool_mgr")
        expect(not state.Region(ram, STATE).good(), "a generation is left")
    with test.case("and the parameters of before start cold"):
        expect_cold(guest, ram, "spent")
    guest.run(steps.load_command(RANGES))
    save(guest)
    with test.case("so does restore=discard with a pool over everything"):
        guest.run("modprobe dma_pool_mgr private=112M@0x20000000 state=none "
                  "restore=discard && rmmod dma_pool_mgr")
        expect_cold(guest, ram, "never written")


def none(test, guest):
    with test.case("where a state region once was, state= may not be left out"):
        log = ours(expect_refused(guest, f"modprobe dma_pool_mgr private={PRIVATE}",
                                  INVALID, ERRORS))
        expect(len(log) == 1 and f"state={STATE}" in log[0] and "state=none" in log[0],
               f"the log says {log}")
        guest.run(f"modprobe dma_pool_mgr private={PRIVATE} state=none && "
                  "rmmod dma_pool_mgr")
    with test.case("a load without it says what it was given"):
        guest.dmesg()
        guest.run("modprobe dma_pool_mgr private=1M@0x25000000 stat=1 && "
                  "rmmod dma_pool_mgr")
        expect_in(r"^dma_pool_mgr: no state= was given.* private=1M@0x25000000 ",
                  guest.dmesg(), "the log")


def next_kernel(test, guest, ram):
    guest.run(steps.load_command(RANGES))
    soak.load(guest, CLIENTS)
    soak.command(guest, "change", "6 300")
    held = soak.buffers(guest)
    steps.kexec(guest)
    before = memory(ram)
    with test.case("after a kexec, too, a letter wrong in state= loses nothing"):
        expect_unwritten(guest, ram, WRONG[0][1], before)
        guest.run(steps.load_command(RANGES))
        soak.load(guest, CLIENTS)
        expect(soak.buffers(guest) == held, "the buffers are not those of before")
