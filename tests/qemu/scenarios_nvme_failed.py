# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios in which QEMU's NVMe controller fails, or goes, while samples/dpmgr_nvme has
I/O in flight: the I/O ends with errors, nothing hangs, and all pages come back. And those
in which only an interrupt is lost: nothing fails."""

import hashlib
import os
import time

import nvme
import steps
from scenarios import expect, expect_in, scenario
from scenarios_nvme import (DISK, VERIFIED, boot, command_register, kexec, load_manager,
                            start_slow_io)
from steps import DEBUGFS, SYSFS

QUEUE = "/sys/block/dpnvme0n1/queue"

# A timeout in milliseconds: a guest that waits for it is found dead before.
A_DAY = 24 * 3600 * 1000


def start_fio(guest):
    """I/O that goes on for as long as it can; its exit status is in /tmp/status then."""
    guest.run(f"rm -f /tmp/status; echo 2000 > {QUEUE}/io_timeout; "
              f"({nvme.tool('fio')} --name=load --filename={DISK} --rw=randrw --bs=16k "
              "--size=16M --direct=1 --ioengine=libaio --iodepth=16 --time_based "
              "--runtime=1d > /tmp/fio 2>&1; echo $? > /tmp/status) &")
    nvme.wait_for_inflight(guest, 1)


def expect_fio_fails(guest):
    guest.wait_for("[ -s /tmp/status ]")
    expect(int(guest.run("cat /tmp/status")), "fio has seen no error")


def expect_no_buffers(guest):
    table = guest.run(f"cat {DEBUGFS}/buffers")
    expect(len(table.splitlines()) == 1, "there are buffers left:\n" + table)


def unbind(guest, address):
    """Unlike rmmod, also from a disk that is open."""
    guest.run(f"echo {address} > {nvme.ALL_PCI}/{address}/driver/unbind")


def failures(guest, bench, address):
    """How a controller fails under I/O, how to make it so, and to make it well again."""
    return [
        ("that says it has failed",
         lambda: command_register(guest, address, False), lambda: None),
        ("that gives no answer", lambda: bench.throttle("an1", 1),
         lambda: bench.throttle("an1", 0)),
        ("that is reset", lambda: guest.run(f"echo 1 > {nvme.ALL_PCI}/{address}/reset"),
         lambda: None),
    ]


@scenario
def nvme_failed(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        nvme.load(guest)
        address, = nvme.addresses(guest)
        for what, fail, mend in failures(guest, bench, address):
            start_fio(guest)
            with test.case(f"a controller {what} is stopped, and its I/O fails"):
                mark = bench.mark()
                fail()
                expect_fio_fails(guest)
                expect_in("the controller has failed", guest.dmesg(), "the log")
                expect(bench.count("pci_nvme_mmio_stopped", mark)
                       or bench.count("pci_nvme_pci_reset", mark), "it runs on")
            mend()
            with test.case(f"a controller {what}: new I/O fails at once"):
                expect(guest.try_run(f"dd if={DISK} of=/dev/null bs=4k count=1 "
                                     "iflag=direct")[0], "it is read from")
            with test.case(f"a controller {what}: its driver goes, its pages come back, "
                           "and it can be started anew"):
                guest.run("rmmod dpmgr_nvme")
                expect_no_buffers(guest)
                nvme.expect_cold_start(nvme.load(guest), "nothing was handed over")
                nvme.fio(guest, f"--filename={DISK} {VERIFIED}")

        start_fio(guest)
        command_register(guest, address, False)
        expect_fio_fails(guest)
        kexec(guest)
        load_manager(guest)
        with test.case("one that has failed is not kept over a kexec: a cold start"):
            nvme.expect_cold_start(nvme.load(guest), "it was not kept")
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")

        guest.run(f"echo 10000 > {QUEUE}/io_timeout")
        start_slow_io(guest, bench)
        with test.case("a driver that is unbound while a controller gives no answer does "
                       "not hang"):
            unbind(guest, address)
            bench.throttle("an1", 0)
            expect_no_buffers(guest)

        guest.run("rmmod dpmgr_nvme")
        nvme.load(guest)
        guest.run(f"echo {A_DAY} > {QUEUE}/io_timeout")
        start_slow_io(guest, bench)
        with test.case("a driver that is unbound from one that has failed does not wait "
                       "for its I/O to time out"):
            guest.run(f"echo 1 > {nvme.ALL_PCI}/{address}/reset")
            unbind(guest, address)
            bench.throttle("an1", 0)
            expect_in("the controller has failed", guest.dmesg(), "the log")
            expect_no_buffers(guest)
        guest.power_off()


@scenario
def nvme_unplug(test):
    one = nvme.Controller(test.folder, "a", ("32M",), bus="rp0")
    guest, bench = boot(test, [one], ["-device", "pcie-root-port,id=rp0,chassis=1"])
    with guest:
        load_manager(guest)
        nvme.load(guest)
        start_fio(guest)
        with test.case("a controller that is unplugged under I/O: its I/O fails, its disk "
                       "goes, and its pages come back"):
            bench.qmp("device_del", id="a")
            expect_fio_fails(guest)
            guest.wait_for(f"! grep -q 0x010802 {nvme.ALL_PCI}/*/class")
            expect(not nvme.disks(guest), "there is a disk")
            expect_no_buffers(guest)
        with test.case("the manager can be unloaded then"):
            guest.run("rmmod dpmgr_nvme; rmmod dma_pool_mgr")
            guest.run(steps.load_command(steps.SMALL))
        guest.power_off()


# How often a controller that has no answer is thawed at most: one in ten is enough.
THAWS = 500


def stall_fio(guest, bench):
    """Its I/O gets no answer any more."""
    bench.throttle("an1", 1)
    nvme.wait_for_inflight(guest, 8)


def freeze(guest):
    """Whether it is frozen, not refused; and the log since it was asked last."""
    guest.run(f"echo freeze > {SYSFS}/action")
    log = guest.dmesg()
    return "its driver refused" not in log, log


def expect_end_and_new_start(guest, bench):
    """It has failed for good, and only for this driver's time."""
    expect(guest.try_run(f"dd if={DISK} of=/dev/null bs=4k count=1 iflag=direct")[0],
           "it is read from")
    bench.throttle("an1", 0)
    guest.run("rmmod dpmgr_nvme")
    expect_no_buffers(guest)
    nvme.expect_cold_start(nvme.load(guest), "nothing was handed over")
    nvme.fio(guest, f"--filename={DISK} {VERIFIED}")


@scenario
def nvme_failed_frozen(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        nvme.load(guest)
        start_fio(guest)
        with test.case("a controller that fails while a freeze waits for its I/O: the "
                       "freeze is refused, the I/O fails, and no more is taken"):
            stall_fio(guest, bench)
            guest.dmesg()
            is_frozen, log = freeze(guest)
            expect(not is_frozen, "it is frozen:\n" + log)
            expect_in("the controller has failed", log, "the log")
            expect_fio_fails(guest)
            guest.run(f"echo unpreserve > {SYSFS}/action")
            expect_end_and_new_start(guest, bench)

        start_fio(guest)
        guest.run("echo 1 > /sys/module/dpmgr_nvme/parameters/carry")
        with test.case("one that gives no answer, and is frozen and thawed again and "
                       "again: it is taken for failed only while it is not frozen"):
            guest.dmesg()
            stall_fio(guest, bench)
            mark = bench.mark()
            log = ""
            for _ in range(THAWS):
                is_frozen, more = freeze(guest)
                log += more
                if not is_frozen:
                    break
                time.sleep(0.1)
                expect(not bench.count("pci_nvme_mmio_stopped", mark),
                       "what is frozen was stopped")
                guest.run(f"echo unpreserve > {SYSFS}/action")
            expect(not is_frozen, "it is never taken for failed")
            expect_in("the controller has failed", log, "the log")
            expect_fio_fails(guest)
            guest.run(f"echo unpreserve > {SYSFS}/action")
            expect_end_and_new_start(guest, bench)
        guest.power_off()


def read_without_interrupt(address, blocks):
    """A command that reads while the only CPU's queue has no interrupt, and prints a hash
    of what it has read."""
    return (f"modprobe dpmgr_tamper address={address} vector=1 && "
            f"for i in $(seq {blocks}); do dd if={DISK} bs=4k count=1 "
            "skip=$((i + 31)) iflag=direct 2> /dev/null; done | sha256sum; "
            "rmmod dpmgr_tamper")


def expect_found_by_timeout(found, log, content, blocks):
    expect(found.split()[0] == hashlib.sha256(content[:blocks * 4096]).hexdigest(),
           "something else was read:\n" + log)
    expect(log.count("a lost interrupt?") == blocks, "its interrupts came:\n" + log)
    expect("has failed" not in log, "it is taken for failed:\n" + log)


@scenario
def nvme_lost_interrupts(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    content = os.urandom(1 << 16)
    with open(one.files[0], "r+b") as image:
        image.seek(32 * 4096)
        image.write(content)
    guest, bench = boot(test, [one], cpus=1)
    with guest:
        load_manager(guest)
        nvme.load(guest)
        address, = nvme.addresses(guest)
        guest.run(f"echo 5000 > {QUEUE}/io_timeout")
        mark = bench.mark()
        with test.case("I/O whose interrupts are lost goes on, each time at its timeout"):
            guest.dmesg()
            found = guest.run(read_without_interrupt(address, 2))
            log = guest.dmesg()
            expect_found_by_timeout(found, log, content, 2)
            expect("takes long" not in log, "it is said to take long:\n" + log)
        with test.case("a command that takes more than one timeout, and whose interrupt "
                       "is lost then, is found at the second"):
            guest.run(f"echo 10000 > {QUEUE}/io_timeout")
            bench.throttle("an1", 1)
            # This is served at once, and what follows would be, some hours later.
            guest.run(f"dd if={DISK} of=/dev/null bs=64k count=1 iflag=direct")
            guest.run(f"({read_without_interrupt(address, 1)}) > /tmp/found &")
            guest.wait_for("dmesg | grep -q 'takes long'")
            bench.throttle("an1", 0)
            guest.wait_for("[ -s /tmp/found ] && [ ! -e /sys/module/dpmgr_tamper ]")
            log = guest.dmesg()
            expect_found_by_timeout(guest.run("cat /tmp/found"), log, content, 1)
            expect(log.count("takes long") == 1, "it takes longer than that:\n" + log)
        with test.case("the controller goes on, undisturbed"):
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
            expect("takes long" not in guest.dmesg(), "an interrupt is missing")
            bench.expect_undisturbed(mark)
        guest.power_off()
