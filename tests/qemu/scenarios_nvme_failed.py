# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios in which QEMU's NVMe controller fails, or goes, while samples/dpmgr_nvme has
I/O in flight: the I/O ends with errors, nothing hangs, and all pages come back."""

import time

import nvme
import steps
from scenarios import expect, expect_in, scenario
from scenarios_nvme import (DISK, VERIFIED, boot, command_register, kexec, load_manager,
                            start_slow_io)
from steps import DEBUGFS

QUEUE = "/sys/block/dpnvme0n1/queue"


def start_fio(guest):
    """I/O that goes on for as long as it can; its exit status is in /tmp/status then."""
    guest.run(f"rm -f /tmp/status; echo 2000 > {QUEUE}/io_timeout; "
              f"({nvme.tool('fio')} --name=load --filename={DISK} --rw=randrw --bs=16k "
              "--size=16M --direct=1 --ioengine=libaio --iodepth=16 --time_based "
              "--runtime=600 > /tmp/fio 2>&1; echo $? > /tmp/status) &")
    time.sleep(2)
    expect(guest.try_run("test -e /tmp/status")[0], "fio ended at once")


def expect_fio_fails(guest, seconds=60):
    deadline = time.monotonic() + seconds
    while guest.try_run("test -e /tmp/status")[0]:
        expect(time.monotonic() < deadline, "its I/O hangs")
        time.sleep(0.5)
    expect(int(guest.run("cat /tmp/status")), "fio has seen no error")


def expect_no_buffers(guest):
    table = guest.run(f"cat {DEBUGFS}/buffers")
    expect(len(table.splitlines()) == 1, "there are buffers left:\n" + table)


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

        start_slow_io(guest, bench)
        with test.case("a driver that is unbound while a controller gives no answer does "
                       "not hang"):
            guest.run(f"echo 2000 > {QUEUE}/io_timeout; rmmod dpmgr_nvme")
            bench.throttle("an1", 0)
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
            deadline = time.monotonic() + 30
            while nvme.addresses(guest):
                expect(time.monotonic() < deadline, "it does not go")
                time.sleep(0.5)
            expect(not nvme.disks(guest), "there is a disk")
            expect_no_buffers(guest)
        with test.case("the manager can be unloaded then"):
            guest.run("rmmod dpmgr_nvme; rmmod dma_pool_mgr")
            guest.run(steps.load_command(steps.SMALL))
        guest.power_off()
