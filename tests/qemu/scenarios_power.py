# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios about what can take memory away: hibernation, suspend, a memory error."""

import os
import shlex
import subprocess

import monitor
import steps
from scenarios import expect, expect_in, ours, scenario
from steps import PAGE, SMALL, SYSFS

REFUSED = r"^dma_pool_mgr: hibernation refused: .*unload.*dma_pool_mgr"


def swap_disk(folder):
    """QEMU's arguments for a disk to swap to."""
    path = os.path.join(folder, "swap.img")
    subprocess.run(["truncate", "-s", "1G", path], check=True)
    return ["-drive", f"if=none,id=swap,file={path},format=raw",
            "-device", "virtio-blk-pci,drive=swap"]


def expect_hibernation_refused(guest, because=REFUSED):
    guest.dmesg()
    status, output = guest.try_run("echo disk > /sys/power/state")
    expect(status and "busy" in output, f"{status}: {output}")
    expect_in(because, guest.dmesg(), "the log")


# ---- hibernation ---------------------------------------------------------


@scenario
def hibernation(test):
    disk = swap_disk(test.folder)
    append = steps.memmap(SMALL) + " no_console_suspend"
    with test.boot(append, devices=disk) as guest:
        guest.run("modprobe virtio_blk; mkswap /dev/vda; swapon /dev/vda; "
                  "echo shutdown > /sys/power/disk")
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        with test.case("hibernation with buffers is refused, and the log says what to unload"):
            expect_hibernation_refused(guest)
        with test.case("so is that of user space, when it opens /dev/snapshot"):
            status, output = guest.try_run("exec 4< /dev/snapshot")
            expect(status and "busy" in output, f"{status}: {output}")
        for mode in ("suspend", "reboot", "test_resume"):
            with test.case(f"and with {mode} for what follows the image"):
                guest.run(f"echo {mode} > /sys/power/disk")
                expect_hibernation_refused(guest)
        guest.run("echo shutdown > /sys/power/disk")
        with test.case("every buffer is as it was"):
            guest.run("rmmod dpmgr_demo")
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        with test.case("pools without a client refuse it, too: pages that count as zero "
                       "would not be"):
            steps.free_and_unload(guest)
            guest.run(steps.load_command(SMALL))
            expect_hibernation_refused(guest)
            guest.run("rmmod dma_pool_mgr")
        with test.case("unloaded, the machine hibernates and powers off"):
            hibernate = "echo disk > /sys/power/state"
            guest.send(hibernate)
            guest.wait_end("hibernation")
    with test.boot(append, devices=disk) as guest:
        guest.run("modprobe virtio_blk")
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        resume = "echo $(cat /sys/block/vda/dev) > /sys/power/resume"
        with test.case("a kernel whose pools hold buffers is not replaced by an image, "
                       "which is then not read at all"):
            # A read-only view of it: the kernel removes the signature as it looks.
            guest.dmesg()
            guest.run("echo 1 > /sys/module/dpmgr_demo/parameters/free_on_remove")
            status, output = guest.try_run("exec 4> /dev/snapshot")
            expect(status and "busy" in output, f"{status}: {output}")
            expect_in("^dma_pool_mgr: resume from hibernation refused: ", guest.dmesg(),
                      "the log")
        with test.case("one whose pools are empty is: the image goes on where it was"):
            guest.run("rmmod dpmgr_demo")
            guest.send(resume)
            status, output = guest.answer(hibernate)
            expect(not status, f"{hibernate}: {status}: {output}")
        with test.case("it loads the module, starts cold, and hands out zeroed pages"):
            guest.run(steps.load_command(SMALL))
            filled = steps.load_sample(guest, "filled")
        with test.case("and what it then holds reaches the next kernel"):
            steps.kexec(guest)
            guest.run(steps.load_command(SMALL))
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))


# ---- suspend to RAM ------------------------------------------------------


def suspend(guest, qemu):
    """Suspend to RAM, wake up from outside, and see that it was both."""
    sleep = "echo mem > /sys/power/state"
    guest.send(sleep)
    guest.wait_until(lambda: qemu.qmp("query-status")["status"] == "suspended",
                     "suspend to RAM", interval=0.2)
    qemu.qmp("system_wakeup")
    status, output = guest.answer(sleep)
    expect(not status, f"{sleep}: {status}: {output}")


@scenario
def suspend_to_ram(test):
    qemu = monitor.Monitor(test.folder)
    append = steps.memmap(SMALL) + " no_console_suspend"
    with test.boot(append, devices=qemu.arguments) as guest:
        expect_in("deep", guest.run("cat /sys/power/mem_sleep"), "mem_sleep")
        guest.run("echo deep > /sys/power/mem_sleep")
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        with test.case("suspend to RAM is not refused, and the machine wakes up"):
            guest.dmesg()
            suspend(guest, qemu)
            expect(not [line for line in ours(guest.dmesg()) if "refused" in line],
                   "the manager has refused something")
        with test.case("every buffer is as it was"):
            guest.run("rmmod dpmgr_demo")
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        with test.case("and is saved and restored after it"):
            steps.kexec(guest)
            guest.run(steps.load_command(SMALL))
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))


# ---- memory errors -------------------------------------------------------

# What a patrol scrubber finds, of Intel's: uncorrected, with an address, which is a page's;
# and what was corrected.
BANK = 9
UNCORRECTED = 0xbd000000000000c0
CORRECTED = 0x9c000000000000c0
RESTARTABLE = 0x5
PHYSICAL_PAGE = 0x8c


def inject(qemu, status, address):
    qemu.human(f"mce 0 {BANK} {status:#x} {RESTARTABLE if status == UNCORRECTED else 0} "
               f"{address:#x} {PHYSICAL_PAGE:#x}")


def wait_for_log(guest, text):
    """Wait until the kernel says TEXT; return its messages."""
    guest.wait_for(f"dmesg | grep -qF {shlex.quote(text)}")
    return guest.dmesg()


def bad_pages(guest):
    return int(guest.run(f"cat {SYSFS}/bad_pages"))


def page_at(ram, address):
    with open(ram, "rb") as memory:
        memory.seek(address)
        return memory.read(PAGE)


@scenario
def memory_error(test):
    qemu = monitor.Monitor(test.folder)
    ram = test.ram()
    # Other vendors' banks say other things.
    devices = [*qemu.arguments, "-cpu", "max,vendor=GenuineIntel"]
    with test.boot(steps.memmap(SMALL), ram=ram, devices=devices, cpus=1) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        # The first page has the range's mark.
        free = steps.pages_of(SMALL.private)[1] << 12
        guest.dmesg()
        with test.case("a free page that a machine check names is quarantined"):
            inject(qemu, UNCORRECTED, free + 0x123)
            wait_for_log(guest, f"dma_pool_mgr: page {free:#x} holds a memory error: "
                         "quarantined")
            expect(bad_pages(guest) == 1, "it is not counted")
        held = next(buffer for buffer in filled if buffer.size == 65536)
        with test.case("of one in a buffer the log names holder and tag, and the driver "
                       "is told"):
            address = held.pfn + 5 << 12
            before = page_at(ram, address)
            inject(qemu, UNCORRECTED, address)
            wait_for_log(guest, f"pfn {held.pfn + 5:#x} holds a memory error")
            expect(bad_pages(guest) == 2, "it is not counted")
        with test.case("what was corrected is no reason"):
            guest.run("echo 1 > /sys/devices/system/machinecheck/machinecheck0/"
                      "check_interval")
            inject(qemu, CORRECTED, free + 2 * PAGE)
            # Banks are polled. The log is no witness: it is rate-limited.
            polls = "awk '/MCP:/ { print $2 }' /proc/interrupts"
            polled = int(guest.run(polls))
            guest.wait_for(f"[ $({polls}) -gt {polled + 1} ]")
            expect(bad_pages(guest) == 2, "it is counted")
            guest.run("echo 300 > /sys/devices/system/machinecheck/machinecheck0/"
                      "check_interval")
        with test.case("an administrator can name a page, but none outside"):
            guest.run(f"echo {free + 3 * PAGE:#x} > {SYSFS}/quarantine")
            expect(bad_pages(guest) == 3, "it is not counted")
            status, output = guest.try_run(f"echo 0x1000 > {SYSFS}/quarantine")
            expect(status and "No such file" in output, f"{status}: {output}")
            expect_in("^dma_pool_mgr: quarantine 0x1000 refused", guest.dmesg(), "the log")
        with test.case("the next kernel knows of all three"):
            steps.kexec(guest)
            guest.dmesg()
            guest.run(steps.load_command(SMALL))
            expect(bad_pages(guest) == 3, str(bad_pages(guest)))
            expect_in("^dma_pool_mgr: 3 pages hold memory errors", guest.dmesg(), "the log")
        with test.case("and its driver sees which of its buffers has one"):
            guest.run("modprobe dpmgr_demo")
            log = guest.dmesg()
            expect_in(f"\"data\": 65536 bytes at pfn {held.pfn:#x}: has memory errors$", log,
                      "the log")
            expect(log.count(": verified\n") == len(filled) - 1, log)
        with test.case("freed, the buffer is scrubbed but for its bad page"):
            guest.run("echo 1 > /sys/module/dpmgr_demo/parameters/free_on_remove; "
                      "rmmod dpmgr_demo")
            wait_for_log(guest, f"page {address:#x} holds a memory error and was freed: "
                         "quarantined")
            expect(page_at(ram, address) == before, "the bad page was written to")
            expect(not any(page_at(ram, address - PAGE)), "the one before is not zero")
            expect(not any(page_at(ram, address + PAGE)), "the one after is not zero")
