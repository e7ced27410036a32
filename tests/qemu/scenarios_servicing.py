# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios about what an administrator does: replace the module, decide about
clients one by one and about what nobody claims, and change the pools."""

import time

import soak
import state
import steps
import vm
from scenarios import (CANCELED, CLAIMED, ERRORS, INVALID, expect, expect_in,
                       expect_nothing_claimed, expect_refused, expect_write_refused,
                       newest_slot, ours, scenario)
from scenarios_dma import load_edu
from steps import DEBUGFS, PAGE, SMALL, SYSFS

NOT_EMPTY = "Directory not empty"


def action(guest, verb):
    guest.run(f"echo {verb} > {SYSFS}/action")


def phase(guest):
    return guest.run(f"cat {SYSFS}/phase").strip()


def everything(held):
    return {buffer for name in held for buffer in held[name]}


def expect_module_held(guest):
    status, output = guest.try_run("rmmod dma_pool_mgr")
    expect(status and "in use" in output, f"{status}: {output}")


# ---- a new module without a new kernel -----------------------------------

CLIENTS = 6


def unload_both(guest):
    guest.run("rmmod dpmgr_soak")
    guest.run("rmmod dma_pool_mgr")
    expect_nothing_claimed(guest)


def load_both(guest, before):
    """Load both, which must find all of BEFORE."""
    guest.run(steps.load_command(SMALL))
    soak.load(guest, CLIENTS)
    expect(soak.buffers(guest) == before, "the buffers are not those of before")


def expect_frozen(guest, frozen):
    for name, client in soak.clients(guest).items():
        expect(client.frozen == frozen, f"{name} frozen: {client.frozen}")


@scenario
def reload(test):
    ram = test.ram()
    append = steps.memmap(SMALL)
    with test.boot(append, ram=ram) as guest:
        guest.run(steps.load_command(SMALL))
        soak.load(guest, CLIENTS)
        soak.command(guest, "change", "1 200")
        before = soak.buffers(guest)
        with test.case("a commit by hand freezes the drivers: they hand over, and get "
                       "no buffers"):
            action(guest, "commit")
            expect(phase(guest) == "committed", phase(guest))
            expect_frozen(guest, True)
            status, output = guest.try_run(f"echo 1 1 > {soak.DEBUGFS}/fill")
            expect(status and CLAIMED in output, f"{status}: {output}")
        with test.case("after it both modules unload, and what they hold stays as it is"):
            unload_both(guest)
            soak.expect_contents(ram, everything(before))
        with test.case("loaded again, every driver finds every buffer, every byte as it "
                       "was"):
            load_both(guest, before)
            expect_frozen(guest, False)
        with test.case("what was restored is spent, and without a commit the module "
                       "can't be unloaded"):
            expect(not state.Region(ram, SMALL.state).good(), "a generation is left")
            guest.run("rmmod dpmgr_soak")
            expect_module_held(guest)
        with test.case("the same with drivers that are gone when it is committed"):
            action(guest, "commit")
            guest.run("rmmod dma_pool_mgr")
            expect_nothing_claimed(guest)
            load_both(guest, before)
        for gone_first in (True, False):
            with test.case("and a commit called off loses nothing of drivers that went "
                           + ("before it" if gone_first else "after it")):
                if gone_first:
                    guest.run("rmmod dpmgr_soak")
                action(guest, "commit")
                if not gone_first:
                    guest.run("rmmod dpmgr_soak")
                action(guest, "unpreserve")
                expect_module_held(guest)
                soak.load(guest, CLIENTS)
                expect(soak.buffers(guest) == before,
                       "the buffers are not those of before")
        with test.case("a commit called off: the drivers thaw, and go on working"):
            action(guest, "commit")
            expect(state.Region(ram, SMALL.state).good(), "nothing is committed")
            action(guest, "unpreserve")
            expect(phase(guest) == "normal", phase(guest))
            expect(not state.Region(ram, SMALL.state).good(), "it is still committed")
            expect_frozen(guest, False)
            soak.command(guest, "change", "2 200")
            soak.command(guest, "verify")
            before = soak.buffers(guest)
        with test.case("then the module is held as before, also when they are gone"):
            expect_module_held(guest)
            guest.run("rmmod dpmgr_soak")
            expect_module_held(guest)
            soak.load(guest, CLIENTS)
            expect(soak.buffers(guest) == before, "the buffers are not those of before")
        with test.case("what is committed by hand is restored after a kexec too"):
            action(guest, "commit")
            steps.kexec(guest)
            load_both(guest, before)
        action(guest, "commit")
        guest.send("reboot -f")
        guest.wait_end("reboot")
    with test.case("a plain reboot spends what was committed by hand"):
        expect(not state.Region(ram, SMALL.state).good(), "a generation is left")
    with test.boot(append, ram=ram) as guest:
        with test.case("after it, a load is a cold start"):
            guest.run(steps.load_command(SMALL))
            expect_in("^found +spent$", guest.run(f"cat {DEBUGFS}/state"), "state")
            soak.load(guest, CLIENTS)
            expect(not any(soak.buffers(guest).values()), "a driver has buffers")
        guest.power_off()


# ---- decisions -----------------------------------------------------------

# The pools, and what they can grow to.
RESERVED = ["112M$0x20000000"]
OLD = steps.Ranges("16M@0x20000000", "16M@0x22000000", "1M@0x26000000", RESERVED)
GROWN = steps.Ranges("32M@0x20000000", "16M@0x22000000,16M@0x24000000", "1M@0x26000000",
                     RESERVED)


# A device that can be reset, with the bus that it is alone on.
BEHIND_PORT = ["-device", "pcie-root-port,id=edu-port,chassis=1,slot=1",
               "-device", "edu,dma_mask=0xffffffffffffffff,bus=edu-port"]


def config_of_edu(guest):
    return guest.run("ls -d /sys/bus/pci/drivers/dpmgr_edu/0*/config").strip()


def set_bus_master(guest, config, master):
    """Set or clear bit 2 of the device's command register."""
    low = int(guest.run(f"hexdump -s 4 -n 1 -e '1/1 \"%u\"' {config}"))
    low = low | 4 if master else low & ~4
    guest.run(f"printf '\\{low:03o}' | dd of={config} bs=1 seek=4 conv=notrunc")


@scenario
def servicing(test):
    ram = test.ram()
    with test.boot(steps.memmap(OLD), ram=ram, devices=BEHIND_PORT) as guest:
        with test.case("restore=require refuses a region that holds nothing"):
            log = ours(expect_refused(guest, steps.load_command(OLD) + " restore=require",
                                      "No data available", ERRORS))
            expect(len(log) == 1 and "restore=require" in log[0], f"the log says {log}")
            expect_nothing_claimed(guest)
        guest.run(steps.load_command(OLD))
        soak.load(guest, CLIENTS)
        soak.command(guest, "change", "3 150")
        sysfs_files(test, guest)
        by_hand(test, guest, ram)

        _, edu_pfn = load_edu(guest, "persistent=1")
        config = config_of_edu(guest)
        edu_config = guest.run(f"readlink -f {config}").strip()
        before = soak.buffers(guest)
        steps.set_keepalive(guest, "soak-0", False)
        soak.set_parameter(guest, "refuse", ["soak-1"])
        end_of_first = len(vm.read_log(test.log))
        steps.kexec(guest)

        with test.case("a pool grows: with a longer range and one more, all that can be "
                       "is restored"):
            guest.run(steps.load_command(GROWN))
            soak.load(guest, CLIENTS, skip=["soak-5"])
            after = soak.buffers(guest)
            for name in ("soak-2", "soak-3", "soak-4"):
                expect(after[name] == before[name], f"{name} has {after[name]}")
        with test.case("a driver that refuses to freeze is reported, and what it had is "
                       "orphaned; so is what a driver without keepalive had"):
            log = vm.read_log(test.log)[end_of_first:]
            expect_in('dma_pool_mgr: .*soak-1.*-EIO', log, "the log")
            expect_in(r"dma_pool_mgr: saved generation .* orphaned.* in \d+ us", log,
                      "the log")
            clients = soak.clients(guest)
            table = guest.run(f"cat {DEBUGFS}/buffers")
            for name in ("soak-0", "soak-1"):
                expect(not after[name], f"{name} has {after[name]}")
                expect(clients[name].kept_out == len(before[name]),
                       f"{name}: {clients[name].kept_out} are kept out of use")
                for buffer in before[name]:
                    expect_in(f"{buffer.pfn << 12:#018x} .* orphaned +{name} ", table,
                              "buffers")
        with test.case("what was added to the pools is used"):
            soak.command(guest, "fill", "4 2300")
            used = soak.pages(everything(soak.buffers(guest)))
            for start in (0x21000, 0x24000):
                expect(any(start <= pfn < start + 0x1000 for pfn in used),
                       f"no buffer is at {start:#x}")
            expect(not used & soak.pages(before["soak-0"] | before["soak-1"]
                                         | before["soak-5"]), "a page is in use twice")
            soak.expect_contents(ram, everything(before))
            soak.command(guest, "verify")
        finish_policies(test, guest, ram, before, edu_pfn, edu_config)
        damage(test, guest, ram)
        all_or_nothing(test, guest, ram)
        guest.power_off()


def sysfs_files(test, guest):
    with test.case("sysfs: each file has its mode and content"):
        for name, mode, content in (("phase", "444", "normal"),
                                    ("action", "200", None), ("finish", "200", None),
                                    ("all_or_nothing", "644", "0"),
                                    ("freeze_limit", "644", "60"),
                                    ("region_bytes", "444", "1048576"),
                                    ("clients/soak-0/state", "444", "live"),
                                    ("clients/soak-0/keepalive", "644", "1")):
            path = f"{SYSFS}/{name}"
            found = guest.run(f"stat -c %a {path}").strip()
            expect(found == mode, f"{name} has mode {found}")
            if content is not None:
                found = guest.run(f"cat {path}").strip()
                expect(found == content, f"{name} holds {found}")
        names = guest.run(f"ls {SYSFS}/clients").split()
        expect(names == [f"soak-{i}" for i in range(CLIENTS)], f"clients are {names}")
    with test.case("sysfs: a value that isn't one is refused"):
        for names, texts in (
                (("action", "finish"), ("", "nonsense", "1", "freezee", "leak leak")),
                (("all_or_nothing", "clients/soak-0/keepalive"), ("", "2", "x"))):
            for name in names:
                for text in texts:
                    expect_write_refused(guest, f"{SYSFS}/{name}", text, INVALID)


def by_hand(test, guest, ram):
    with test.case("preserve writes a trial generation, which stops nobody and doesn't "
                   "count"):
        action(guest, "preserve")
        expect(phase(guest) == "preserved", phase(guest))
        expect_frozen(guest, False)
        region = state.Region(ram, OLD.state)
        expect(not region.good() and any(slot.intact for slot in region.slots),
               "there is no uncommitted generation")
        soak.command(guest, "change", "5 50")
        action(guest, "unpreserve")
        expect(phase(guest) == "normal", phase(guest))
    with test.case("freeze by hand: a driver that refuses is reported, the others are "
                   "frozen, and nothing is committed"):
        soak.set_parameter(guest, "refuse", ["soak-2"])
        guest.dmesg()
        action(guest, "freeze")
        expect(phase(guest) == "frozen", phase(guest))
        expect_in("dma_pool_mgr: .*soak-2.*-EIO", guest.dmesg(), "the log")
        for name, client in soak.clients(guest).items():
            expect(client.frozen == (name != "soak-2"), f"{name} frozen: {client.frozen}")
        expect(not state.Region(ram, OLD.state).good(), "a generation is committed")
        action(guest, "unpreserve")
        expect_frozen(guest, False)
        soak.set_parameter(guest, "refuse", [])
    with test.case("frozen, a client's frees wait, and its driver may go; called off, "
                   "nothing is lost"):
        before = soak.buffers(guest)
        action(guest, "freeze")
        soak.unbind(guest, "soak-3")
        soak.command(guest, "empty", "soak-4")
        time.sleep(0.5)
        soak.expect_contents(ram, before["soak-4"])
        action(guest, "unpreserve")
        soak.wait_scrubbed(guest, ram, before["soak-4"])
        soak.bind(guest, "soak-3")
        expect(soak.buffers(guest) == before | {"soak-4": set()},
               "the buffers are not those of before")
    with test.case("all or nothing: then it stops the others, who thaw"):
        soak.set_parameter(guest, "refuse", ["soak-2"])
        guest.run(f"echo 1 > {SYSFS}/all_or_nothing")
        for verb in ("freeze", "commit"):
            log = expect_write_refused(guest, f"{SYSFS}/action", verb, CANCELED)
            expect_in("dma_pool_mgr: .*soak-2.*-EIO", log, "the log")
            expect(phase(guest) == "normal", phase(guest))
            expect_frozen(guest, False)
        guest.run(f"echo 0 > {SYSFS}/all_or_nothing")
        soak.set_parameter(guest, "refuse", [])
        soak.command(guest, "change", "6 50")
        soak.command(guest, "verify")


def finish_policies(test, guest, ram, before, edu_pfn, edu_config):
    edu_page = [soak.Buffer("edu", edu_pfn, 1, PAGE, 0)]

    def names():
        return set(guest.run(f"ls {SYSFS}/clients").split())

    with test.case("finish: fail only says that there is something"):
        log = expect_write_refused(guest, f"{SYSFS}/finish", "fail", NOT_EMPTY)
        for name in ("edu", "soak-5"):
            expect_in(f"dma_pool_mgr: .*{name}", log, "the log")
        soak.expect_contents(ram, before["soak-5"])
    with test.case("finish: reclaim leaves alone what belongs to a device that masters "
                   "the bus"):
        set_bus_master(guest, edu_config, True)
        log = expect_write_refused(guest, f"{SYSFS}/finish", "reclaim", CLAIMED)
        expect_in('dma_pool_mgr: .*edu', log, "the log")
        expect("edu" in names(), f"clients are {names()}")
        expect(not soak.are_zero(ram, edu_page), "its page was scrubbed")
    with test.case("finish: reclaim takes it back when it doesn't, scrubbed, and leaves "
                   "alone what belongs to devices that can't be reset"):
        set_bus_master(guest, edu_config, False)
        expect_write_refused(guest, f"{SYSFS}/finish", "reclaim", CLAIMED)
        expect("edu" not in names() and "soak-5" in names(), f"clients are {names()}")
        soak.wait_scrubbed(guest, ram, edu_page)
        soak.expect_contents(ram, before["soak-5"])
    with test.case("finish: leak keeps out of use, also over the next kexec, what is "
                   "orphaned too"):
        guest.run(f"echo leak > {SYSFS}/finish")
        kept = before["soak-0"] | before["soak-1"] | before["soak-5"]
        live = soak.buffers(guest)
        steps.kexec(guest)
        guest.run(steps.load_command(GROWN))
        soak.expect_contents(ram, kept)
        table = guest.run(f"cat {DEBUGFS}/buffers")
        for buffer in before["soak-5"]:
            expect_in(f"{buffer.pfn << 12:#018x} .* leaked +soak-5 ", table, "buffers")
        soak.load(guest, CLIENTS)
        after = soak.buffers(guest)
        expect(after.pop("soak-5") == set(), "leaked buffers were retrieved")
        expect(after == live, "the buffers are not those of before")
        clients = soak.clients(guest)
        for name in ("soak-0", "soak-1", "soak-5"):
            expect(clients[name].kept_out == len(before[name]),
                   f"{name}: {clients[name].kept_out} are kept out of use")
    with test.case("a driver that says that its device has stopped gives back what is "
                   "kept out of use, scrubbed"):
        for name in ("soak-0", "soak-5"):
            soak.command(guest, "stopped", name)
            soak.wait_scrubbed(guest, ram, before[name])
            expect(not soak.clients(guest)[name].kept_out, f"{name} still has some")
    with test.case("finish: reclaim-forced takes back all that is nobody's"):
        soak.unbind(guest, "soak-1")
        gone = before["soak-1"] | after["soak-1"]
        soak.expect_contents(ram, gone)
        expect_write_refused(guest, f"{SYSFS}/finish", "reclaim", CLAIMED)
        guest.run(f"echo reclaim-forced > {SYSFS}/finish")
        expect("soak-1" not in names(), f"clients are {names()}")
        soak.wait_scrubbed(guest, ram, gone)
        guest.run(f"echo fail > {SYSFS}/finish")
        soak.command(guest, "verify")


def damage(test, guest, ram):
    before = everything(soak.buffers(guest))
    steps.kexec(guest)
    steps.flip(ram, newest_slot(ram, int(OLD.state.split("@")[1], 16)) + 48 + 40)
    with test.case("restore=discard is the way on from a damaged region: everything is "
                   "scrubbed"):
        log = expect_refused(guest, steps.load_command(GROWN), "Bad message")
        expect_in("restore=discard", log, "the log")
        expect_refused(guest, steps.load_command(GROWN) + " restore=require",
                       "Bad message")
        soak.expect_contents(ram, before)
        guest.run(steps.load_command(GROWN) + " restore=discard")
        expect(not guest.run(f"ls {SYSFS}/clients").split(), "there are clients")
        soak.wait_scrubbed(guest, ram, before)
        soak.load(guest, CLIENTS)
        soak.command(guest, "change", "7 100")
        soak.command(guest, "verify")


def all_or_nothing(test, guest, ram):
    with test.case("all or nothing at a kexec: if one refuses, all are orphaned"):
        before = soak.buffers(guest)
        guest.run(f"echo 1 > {SYSFS}/all_or_nothing")
        soak.set_parameter(guest, "refuse", ["soak-3"])
        steps.kexec(guest)
        guest.run(steps.load_command(GROWN))
        soak.load(guest, CLIENTS)
        expect(not everything(soak.buffers(guest)), "a driver has buffers")
        for name, client in soak.clients(guest).items():
            expect(client.kept_out == len(before[name]),
                   f"{name}: {client.kept_out} are kept out of use")
        soak.expect_contents(ram, everything(before))


# ---- drivers that hang ---------------------------------------------------

LIMIT = 4
# What a freeze that comes back takes: its timers can't be as early as the limit's.
HANG = 12


def make_hang(guest, name, seconds):
    """From now on NAME's freeze hangs."""
    soak.set_parameter(guest, "hang", [name])
    soak.set_parameter(guest, "hang_s", [str(seconds)])


def expect_named(log, name):
    """LOG says whose freeze hangs, and where: in a stack that follows."""
    expect_in(f'dma_pool_mgr: client "{name}" \\(driver dpmgr_soak, device dpmgr_soak.*\\): '
              'freeze has not returned for [3-9] s', log, "the log")
    expect_in(r"\bsoak_hang\b", log, "the log")
    expect_in(f'dma_pool_mgr: client "{name}" is not kept: .*freeze_limit.*-ETIMEDOUT', log,
              "the log")


@scenario
def hang(test):
    with test.boot(steps.memmap(SMALL)) as guest:
        guest.run(steps.load_command(SMALL))
        soak.load(guest, CLIENTS)
        soak.command(guest, "change", "1 200")
        guest.run(f"echo {LIMIT} > {SYSFS}/freeze_limit")
        with test.case("by hand: a driver whose freeze hangs is named, with its stack, and at "
                       "the limit the others are frozen without it"):
            make_hang(guest, "soak-1", HANG)
            guest.dmesg()
            action(guest, "freeze")
            expect(phase(guest) == "frozen", phase(guest))
            expect_named(guest.dmesg(), "soak-1")
            for name in (f"soak-{i}" for i in range(CLIENTS)):
                found = guest.run(f"cat {SYSFS}/clients/{name}/state").strip()
                expect(found == ("live" if name == "soak-1" else "frozen"),
                       f"{name} is {found}")
        with test.case("when it returns after all, its driver is thawed and works on"):
            guest.wait_for("dmesg | grep -q 'soak-1.*freeze has returned after all'")
            # Its list's lock is the driver's: so it is out of freeze, and of thaw.
            guest.wait_for("! grep -q 'soak-1 .*frozen' "
                           f"{soak.DEBUGFS}/clients")
            action(guest, "unpreserve")
            expect_frozen(guest, False)
            soak.command(guest, "change", "2 200")
            soak.command(guest, "verify")
        with test.case("a kexec saves without it, says whose device the kernel then waits for, "
                       "and reaches the next kernel"):
            before = soak.buffers(guest)
            make_hang(guest, "soak-1", HANG)
            start = len(vm.read_log(test.log))
            steps.kexec(guest)
            log = vm.read_log(test.log)[start:]
            expect_named(log, "soak-1")
            expect_in(r"dma_pool_mgr: saved generation .*, \d+ of them orphaned", log, "the log")
            expect_in('dma_pool_mgr: client "soak-1" .*device\'s lock.*hardware watchdog.*sysrq-b',
                      log, "the log")
        with test.case("there, what it had is orphaned, and the others have all of theirs"):
            guest.run(steps.load_command(SMALL))
            soak.load(guest, CLIENTS)
            after = soak.buffers(guest)
            for name in before:
                expect(after[name] == (set() if name == "soak-1" else before[name]),
                       f"{name} has {after[name]}")
            kept_out = soak.clients(guest)["soak-1"].kept_out
            expect(kept_out == len(before["soak-1"]), f"{kept_out} are kept out of use")
        with test.case("a plain reboot doesn't wait in our notifiers for one that never "
                       "returns; sysrq-b ends it where the kernel waits for the device"):
            guest.run(f"echo {LIMIT} > {SYSFS}/freeze_limit")
            make_hang(guest, "soak-2", 0)
            action(guest, "freeze")
            guest.run("(until dmesg | grep -q 'sysrq-b, ends this kernel'; do sleep 1; done; "
                      "sleep 3; echo b > /proc/sysrq-trigger) > /dev/null 2>&1 &")
            start = len(vm.read_log(test.log))
            guest.send("reboot -f")
            guest.wait_end("sysrq-b")
            log = vm.read_log(test.log)[start:]
            expect_in("dma_pool_mgr: not a kexec: nothing is saved", log, "the log")
            expect_in('dma_pool_mgr: client "soak-2" .*device\'s lock', log, "the log")
            expect("reboot: Restarting system" not in log, "it was not waited for")
