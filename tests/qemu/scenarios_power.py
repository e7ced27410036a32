# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios about what can take memory away: hibernation and suspend."""

import os
import subprocess

import monitor
import steps
from scenarios import expect, expect_in, ours, scenario
from steps import SMALL

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
