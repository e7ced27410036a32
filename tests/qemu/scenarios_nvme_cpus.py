# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with QEMU's NVMe controller, samples/dpmgr_nvme, and fewer or more CPUs than
it has queues: another kernel may have other CPUs."""

import re

import nvme
from scenarios import expect, expect_in, scenario
from scenarios_nvme import (DISK, VERIFIED, boot, expect_event, load_manager, reload)
from steps import DEBUGFS, SMALL, SYSFS

CPU = "/sys/devices/system/cpu"


def numbers(text):
    """Those of "0, 2" and of "0,2-3"."""
    ranges = [part.split("-") for part in text.replace(" ", "").split(",")]
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


def kexec(guest, more):
    """To a kernel whose command line says MORE about CPUs, instead of what it says now."""
    line = re.sub(r" (nr_cpus|maxcpus)=\d+", "", guest.run("cat /proc/cmdline").strip())
    guest.run(f"dpmgr-kexec --command-line='{line} {more}' --initrd=/boot/initrd "
              "/boot/vmlinuz")
    guest.send("kexec -e")
    guest.wait_ready("the kernel after kexec")
    load_manager(guest)


def expect_all_cpus_work(guest, nr_cpus):
    """Each CPU's I/O completes, and by its interrupt: nothing is waited for."""
    expect(guest.run(f"cat {CPU}/online").strip() == (f"0-{nr_cpus - 1}" if nr_cpus > 1
                                                       else "0"), "other CPUs are there")
    guest.dmesg()
    for cpu in range(nr_cpus):
        nvme.fio(guest, f"--filename={DISK} --rw=randrw --bs=8k --size=1M --direct=1 "
                 f"--ioengine=libaio --iodepth=8 --cpus_allowed={cpu}")
    nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
    log = guest.dmesg()
    expect("takes long" not in log, "an interrupt is missing:\n" + log)


def expect_goes_on(guest, bench, bits):
    """Called off, it goes on."""
    guest.run(f"echo freeze > {SYSFS}/action; echo unpreserve > {SYSFS}/action")
    expect_event(guest, bench, "a", bits)


def expect_own_interrupts(guest):
    """Each queue's CPUs are those of its interrupt."""
    for i in map(int, guest.run("ls /sys/block/dpnvme0n1/mq").split()):
        irq = guest.run(f"grep -w dpmgr_nvme0q{i + 1} /proc/interrupts").split(":")[0].strip()
        theirs = guest.run(f"cat /proc/irq/{irq}/smp_affinity_list")
        ours = guest.run(f"cat /sys/block/dpnvme0n1/mq/{i}/cpu_list")
        expect(numbers(ours) == numbers(theirs), f"queue {i + 1}: {ours} is not {theirs}")


@scenario
def nvme_cpus(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one], cpus=1)
    with guest:
        load_manager(guest)
        with test.case("with one CPU there are two I/O queues all the same"):
            expect_in("2 I/O queues", nvme.load(guest), "the log")
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
        with test.case("and they are taken over"):
            mark = bench.mark()
            nvme.expect_taken_over(reload(guest))
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
            bench.expect_undisturbed(mark)
        guest.power_off()


@scenario
def nvme_other_cpus(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one], cpus=4)
    with guest:
        load_manager(guest)
        with test.case("with four CPUs there are four I/O queues, each with an interrupt "
                       "of its own"):
            expect_in("4 I/O queues", nvme.load(guest), "the log")
            expect_own_interrupts(guest)
            expect_all_cpus_work(guest, 4)
        mark = bench.mark()
        for more, nr_cpus, bits in (("nr_cpus=1", 1, 1), ("maxcpus=2", 2, 3), ("", 4, 7)):
            kexec(guest, more)
            with test.case(f"the next kernel has {more or 'all CPUs again'}: taken over "
                           "with four queues, every CPU works, undisturbed"):
                log = nvme.load(guest)
                nvme.expect_taken_over(log)
                expect_in("4 I/O queues", log, "the log")
                expect_all_cpus_work(guest, nr_cpus)
                bench.expect_undisturbed(mark)
            with test.case(f"{more or 'all CPUs again'}: frozen and called off, it goes on"):
                expect_goes_on(guest, bench, bits)
                expect_all_cpus_work(guest, nr_cpus)
        with test.case("a CPU that goes, and one that comes, between freeze and its being "
                       "called off do no harm"):
            guest.run(f"echo 0 > {CPU}/cpu2/online; echo freeze > {SYSFS}/action; "
                      f"echo 0 > {CPU}/cpu3/online; echo 1 > {CPU}/cpu2/online; "
                      f"echo unpreserve > {SYSFS}/action; echo 1 > {CPU}/cpu3/online")
            expect_all_cpus_work(guest, 4)
        kexec(guest, "nr_cpus=1")
        nvme.load(guest)
        guest.run("rmmod dpmgr_nvme")
        with test.case("started with one CPU, it has two queues"):
            expect_in("2 I/O queues", nvme.load(guest), "the log")
        mark = bench.mark()
        kexec(guest, "")
        with test.case("more CPUs than queues in the next kernel: taken over, every CPU "
                       "works, undisturbed"):
            log = nvme.load(guest)
            nvme.expect_taken_over(log)
            expect_in("2 I/O queues", log, "the log")
            expect_own_interrupts(guest)
            expect_all_cpus_work(guest, 4)
            bench.expect_undisturbed(mark)
        guest.power_off()


@scenario
def nvme_few_queues(test):
    one = nvme.Controller(test.folder, "a", ("32M",), more=",max_ioqpairs=2")
    guest, _ = boot(test, [one], cpus=4)
    with guest:
        load_manager(guest)
        with test.case("a controller that has fewer queues than there are CPUs: each "
                       "queue's CPUs are those of its interrupt"):
            expect_in("2 I/O queues", nvme.load(guest), "the log")
            expect_own_interrupts(guest)
            expect_all_cpus_work(guest, 4)
        with test.case("it is taken over"):
            nvme.expect_taken_over(reload(guest))
            expect_all_cpus_work(guest, 4)
        guest.power_off()


def load_with_pool(guest, size):
    """The manager anew, with a pool of private pages of that size only."""
    guest.run("rmmod dpmgr_nvme; rmmod dma_pool_mgr")
    guest.run(f"modprobe dma_pool_mgr private={size}@{SMALL.private.split('@')[1]} "
              f"state={SMALL.state}")


@scenario
def nvme_small_pool(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one], cpus=4)
    with guest:
        load_manager(guest)
        guest.run("modprobe dpmgr_nvme")
        load_with_pool(guest, "10M")
        with test.case("where there is memory for two queues of 4 MiB, four CPUs share two"):
            log = nvme.load(guest)
            expect_in("memory for 2 of 4 I/O queues", log, "the log")
            expect_in("2 I/O queues", log, "the log")
            expect_own_interrupts(guest)
            expect_all_cpus_work(guest, 4)
        with test.case("a queue that there was no memory for has none"):
            table = guest.run(f"cat {DEBUGFS}/buffers")
            expect_in("submission queue 2$", table, "buffers")
            expect("queue 3" not in table and "lists 3" not in table, table)
        with test.case("called off, it goes on"):
            expect_goes_on(guest, bench, 1)
        load_with_pool(guest, "3M")
        with test.case("where there is memory for none, it says how much one needs, and takes "
                       "none"):
            log = nvme.load(guest)
            expect_in("an I/O queue needs 4194304 bytes of data: see depth and pages", log,
                      "the log")
            expect(not nvme.disks(guest), nvme.disks(guest))
            expect(len(guest.run(f"cat {DEBUGFS}/buffers").splitlines()) == 1,
                   "there are buffers left")
        guest.run("rmmod dpmgr_nvme")
        with test.case("with smaller ones it works"):
            expect_in("memory for 2 of 4 I/O queues", nvme.load(guest, parameters="depth=8"),
                      "the log")
            expect_all_cpus_work(guest, 4)
        guest.power_off()
