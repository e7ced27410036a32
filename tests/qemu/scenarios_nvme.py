# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with QEMU's NVMe controller and samples/dpmgr_nvme, which keeps it running
while the kernel is replaced. The witness is QEMU's trace log, split at the kexec."""

import hashlib
import os
import re
import threading
import time
import zlib

import nvme
import scenarios_vtl
import steps
import vm
from scenarios import expect, expect_in, scenario
from steps import DEBUGFS, SMALL, SYSFS

DISK = "/dev/dpnvme0n1"
SECOND = "/dev/dpnvme0n2"

VERIFIED = ("--rw=randwrite --bsrange=512-256k --size=16M --direct=1 --ioengine=libaio "
            "--iodepth=16 --verify=crc32c --verify_fatal=1")


def boot(test, controllers, before=(), append="", **more):
    """A guest with these controllers, and the bench around it."""
    tools = nvme.build_tools(test.guest_root, os.path.dirname(test.image[1]))
    bench = nvme.Bench(test.folder, tools, controllers, before)
    return test.boot(f"{steps.memmap(SMALL)} {append}", devices=bench.devices,
                     **more), bench


def load_manager(guest):
    nvme.set_up(guest)
    guest.run(steps.load_command(SMALL))


def client(address, what):
    return f"nvme-{address}-{what}"


def expect_event(guest, bench, name, bits):
    """A warning from outside is an event that the driver tells of."""
    guest.dmesg()
    bench.warn(name, bits)
    nvme.wait_for_event(guest)
    guest.dmesg()


def kexec(guest, in_window=lambda: None, before_it=lambda: None):
    """Go to the next kernel; call BEFORE_IT when it is loaded, IN_WINDOW when it has
    begun."""
    guest.run("dpmgr-kexec --reuse-cmdline --initrd=/boot/initrd /boot/vmlinuz")
    before_it()
    start = len(vm.read_log(guest.log))
    guest.send("kexec -e")
    guest.wait_for_kernel(start)
    in_window()
    guest.wait_ready("the kernel after kexec")


def make_files(guest, partition):
    guest.run(f"mkdir -p /mnt; {nvme.tool('mke2fs')} -q -t ext4 {partition} && "
              f"mount -t ext4 -o discard {partition} /mnt")
    guest.run("mkdir /mnt/d; for i in 1 2 3 4 5 6; do head -c ${i}00001 /dev/urandom "
              "> /mnt/d/$i; done; cp /boot/vmlinuz /mnt; cd /mnt; "
              "find . -type f ! -name sums -exec sha256sum {} + > /mnt/sums; "
              "cd /; umount /mnt")


def verify_files(guest, partition):
    guest.run(f"mkdir -p /mnt; mount -t ext4 {partition} /mnt && cd /mnt && "
              "sha256sum -c sums && [ $(wc -l < sums) -eq 7 ]; status=$?; cd /; "
              "umount /mnt; exit $status")


@scenario
def nvme_basic(test):
    one = nvme.Controller(test.folder, "a", ("64M", "32M"))
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        with test.case("a controller that nobody is told to take is left alone"):
            guest.run("modprobe dpmgr_nvme; rmmod dpmgr_nvme")
            expect(not nvme.disks(guest), "there is a disk")
        with test.case("the driver starts the controller, with an interrupt and queues "
                       "for each CPU, and both namespaces are disks"):
            log = nvme.load(guest)
            nvme.expect_cold_start(log, "nothing was handed over")
            expect_in("2 namespaces, 2 I/O queues", log, "the log")
            expect(nvme.disks(guest) == ["dpnvme0n1", "dpnvme0n2"], nvme.disks(guest))
            expect(guest.run("cat /sys/block/dpnvme0n[12]/size").split()
                   == ["131072", "65536"], "the disks have other sizes")
        with test.case("queues and lists are of one client, data of another"):
            table = guest.run(f"cat {DEBUGFS}/buffers")
            for tag, name in (("submission queue 2", "queues"), ("data 2", "data")):
                expect_in(rf"nvme-\S+-{name} +{tag}$", table, "buffers")
        with test.case("written and read in all sizes, fio finds what it wrote"):
            for disk in (DISK, SECOND):
                nvme.fio(guest, f"--filename={disk} {VERIFIED}")
        with test.case("requests larger than a page have lists, those of several pages "
                       "arrive where they should"):
            guest.run(f"head -c 1000448 /boot/vmlinuz > /tmp/v; dd if=/tmp/v of={SECOND} "
                      f"bs=1000448 oflag=direct; dd if={SECOND} bs=1000448 count=1 "
                      "iflag=direct | cmp - /tmp/v")
            with open(one.files[1], "rb") as image:
                expect(hashlib.sha256(image.read(1000448)).hexdigest()
                       == guest.run("sha256sum /tmp/v").split()[0],
                       "the host finds something else")
        with test.case("what is discarded reads as zero"):
            guest.run(f"blkdiscard {SECOND}; [ $(head -c 1000448 {SECOND} | "
                      "tr -d '\\0' | wc -c) -eq 0 ]")
            expect(bench.count("pci_nvme_dsm") > 0, "nothing was discarded")
        with test.case("it is partitioned, and has a file system with files"):
            guest.run(f"echo 'size=40M' | {nvme.tool('sfdisk')} -q {DISK}")
            make_files(guest, DISK + "p1")
            expect(bench.count("pci_nvme_flush_ns") > 0, "nothing was flushed")
        with test.case("an event from outside is told of, and the next one asked for"):
            expect_event(guest, bench, "a", 1)
            expect_event(guest, bench, "a", 3)

        kexec_mark = bench.mark()
        kexec(guest, in_window=lambda: bench.warn("a", 7))
        load_manager(guest)
        load_mark = bench.mark()
        with test.case("after a kexec the driver takes the controller over"):
            log = nvme.load(guest)
            nvme.expect_taken_over(log)
        with test.case("an event from outside in the window between the kernels is told "
                       "of by the second, on the old queue"):
            posted = [event for event in bench.events(kexec_mark, load_mark)
                      if event.name == "pci_nvme_aer_post_cqe"]
            expect(posted, "it was not posted in the window")
            nvme.wait_for_event(guest, log)
        with test.case("mounted, every file is what it was"):
            verify_files(guest, DISK + "p1")
        with test.case("one after it, too"):
            expect_event(guest, bench, "a", 15)
        with test.case("both disks work"):
            nvme.fio(guest, f"--filename={SECOND} {VERIFIED}")
            nvme.fio(guest, f"--filename={DISK} {VERIFIED} --offset=44M")
        with test.case("since before the kexec: no start, no stop, no reset of any kind, "
                       "no queue made"):
            bench.expect_undisturbed(kexec_mark)
        with test.case("an unbound controller is stopped, and its pages come back"):
            mark = bench.mark()
            guest.run("rmmod dpmgr_nvme")
            expect(bench.count("pci_nvme_mmio_stopped", mark) == 1, "it was not stopped")
            expect(len(guest.run(f"cat {DEBUGFS}/buffers").splitlines()) == 1,
                   "there are buffers left")
            nvme.expect_cold_start(nvme.load(guest), "nothing was handed over")
        with test.case("on a plain reboot it is shut down properly"):
            mark = bench.mark()
            guest.send("reboot -f")
            guest.wait_end("reboot")
            names = [event.name for event in bench.events(mark)]
            expect("pci_nvme_mmio_shutdown_set" in names
                   and "pci_nvme_mmio_stopped" in names, f"{names}")


def start_slow_io(guest, bench, nr=4):
    """Reads and writes of 64 KiB, most of which take for ever unless they are let go."""
    guest.run("head -c 65536 /boot/vmlinuz > /tmp/w")
    bench.throttle("an1", 1)
    for i in range(nr):
        guest.run(f"dd if={DISK} of=/dev/null bs=64k skip={i} count=1 iflag=direct "
                  "> /dev/null 2>&1 &")
        guest.run(f"dd if=/tmp/w of={DISK} bs=64k seek={100 + i} count=1 oflag=direct "
                  "> /dev/null 2>&1 &")
    # One is served at once.
    nvme.wait_for_inflight(guest, 2 * nr - 2)


def completed(bench, mark):
    """How many commands."""
    return bench.count("pci_nvme_enqueue_req_completion", mark)


@scenario
def nvme_carry(test):
    one = nvme.Controller(test.folder, "a", ("64M",))
    content = os.urandom(1 << 20)
    with open(one.files[0], "r+b") as image:
        image.write(content)
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        nvme.load(guest, parameters="carry=1")
        for again in ("", ", also if it must wait for them"):
            written = guest.run("head -c 65536 /boot/vmlinuz | sha256sum").split()[0]
            guest.run(f"blkdiscard -o {100 << 16} -l {8 << 16} {DISK}")
            console = len(vm.read_log(test.log))
            mark = bench.mark()
            kexec(guest, before_it=lambda: start_slow_io(guest, bench),
                  in_window=lambda: again or bench.throttle("an1", 0))
            load_manager(guest)
            with test.case("reads and writes that are in flight are carried over" + again):
                left = re.search("left to the next kernel, with ([0-9]+) commands",
                                 vm.read_log(test.log)[console:])
                expect(left and int(left[1]) >= 5, f"{left and left[0]}")
            with test.case("they complete, and the next kernel sees it" + again):
                let_go = threading.Timer(2, bench.throttle, ("an1", 0))
                if again:
                    expect(completed(bench, mark) < int(left[1]), "all have completed")
                    let_go.start()
                else:
                    guest.wait_until(lambda: completed(bench, mark) >= int(left[1]),
                                     "what is in flight completes")
                log = nvme.load(guest, parameters="carry=1")
                nvme.expect_taken_over(log)
                expect_in(f"all {left[1]} commands carried over are complete", log,
                          "the log")
            with test.case("the reads' data is in their buffers" + again):
                reads = re.findall(r"read of 128 blocks at (\d+): crc32 ([0-9a-f]+)", log)
                expect(reads, "no read was carried:\n" + log)
                for lba, crc in reads:
                    data = content[int(lba) * 512:][:65536]
                    expect(zlib.crc32(data) == int(crc, 16), f"read at {lba}: {crc}")
            with test.case("the writes' data is on the disk" + again):
                writes = re.findall(r"command 0x1 of 128 blocks at (\d+): status 0", log)
                expect(writes, "no write was carried:\n" + log)
                for lba in writes:
                    found = guest.run(f"dd if={DISK} bs=64k skip={int(lba) // 128} count=1 "
                                      "iflag=direct 2>/dev/null | sha256sum").split()[0]
                    expect(found == written, f"at {lba} there is something else")
            with test.case("the controller was not disturbed, and works" + again):
                nvme.fio(guest, f"--filename={DISK} {VERIFIED} --offset=32M")
                bench.expect_undisturbed(mark)
        guest.power_off()


@scenario
def nvme_discard(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    # One queue, and few commands in flight: each one's list of pages is used again.
    guest, _ = boot(test, [one], cpus=1)
    nr_pages = 45
    content = os.urandom(2 * nr_pages * steps.PAGE)
    with guest:
        load_manager(guest)
        nvme.load(guest, parameters="depth=4")
        for scheduler in ("none", "mq-deadline"):
            with open(one.files[0], "r+b") as image:
                image.write(content)
            guest.run(f"echo {scheduler} > /sys/block/dpnvme0n1/queue/scheduler; modprobe "
                      f"dpmgr_discard disk={DISK} nr={nr_pages} && rmmod dpmgr_discard")
            with test.case("pages that are discarded all at once are discarded, and no "
                           f"others: scheduler {scheduler}"):
                with open(one.files[0], "rb") as image:
                    found = image.read(len(content))
                for at in range(0, len(content), 2 * steps.PAGE):
                    middle, end = at + steps.PAGE, at + 2 * steps.PAGE
                    expect(not any(found[at:middle]), f"at {at}: not discarded")
                    expect(found[middle:end] == content[middle:end], f"at {middle}: lost")
            with test.case(f"lists of pages are not spoilt by that: scheduler {scheduler}"):
                nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
        guest.power_off()


@scenario
def nvme_limits(test):
    one = nvme.Controller(test.folder, "a", ("32M",), more=",mdts=2", block_size=4096)
    one.add_zoned("32M")
    verified = VERIFIED.replace("bsrange=512-256k", "bsrange=4k-256k")
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        log = nvme.load(guest)
        with test.case("a namespace with zones is left alone, and named"):
            expect_in(r"namespace 2: command set 2 \(zoned\): left alone", log, "the log")
            expect(nvme.disks(guest) == ["dpnvme0n1"], nvme.disks(guest))
        with test.case("blocks of 4 KiB, of which a command may have four"):
            sizes = guest.run("cd /sys/block/dpnvme0n1; cat size queue/logical_block_size "
                              "queue/max_hw_sectors_kb").split()
            expect(sizes == ["65536", "4096", "16"], f"{sizes}")
            nvme.fio(guest, f"--filename={DISK} {verified}")
        with test.case("they are where they should be, also those that are discarded"):
            guest.run(f"head -c 1000448 /boot/vmlinuz | dd of={DISK} bs=4k seek=100 "
                      "conv=sync; sync; "
                      f"blkdiscard -o {120 * steps.PAGE} -l {steps.PAGE} {DISK}")
            wanted = guest.run("head -c 81920 /boot/vmlinuz | sha256sum").split()[0]
            with open(one.files[0], "rb") as image:
                image.seek(100 * steps.PAGE)
                expect(hashlib.sha256(image.read(81920)).hexdigest() == wanted,
                       "the host finds something else")
                expect(not any(image.read(steps.PAGE)), "a block is not discarded")
                expect(any(image.read(steps.PAGE)), "the next one is")
        with test.case("all that is so after a kexec"):
            mark = bench.mark()
            kexec(guest)
            load_manager(guest)
            nvme.expect_taken_over(nvme.load(guest))
            expect(guest.run("cat /sys/block/dpnvme0n1/queue/max_hw_sectors_kb").strip()
                   == "16", "commands may be larger")
            nvme.fio(guest, f"--filename={DISK} {verified}")
            bench.expect_undisturbed(mark)
        guest.power_off()


# Each block has a header that says what it holds: whatever was written last.
LOADED = ("--size=16M --bs=4k --direct=1 --ioengine=libaio --iodepth=16 --iodepth_batch=16 "
          "--iodepth_batch_complete_min=16 "
          "--verify=crc32c --verify_fatal=1 --do_verify=0 --randseed=7")
# More than fits in the disk's queues: so it goes on, and not only begins.
LEAST_WRITES = 100
READ_BACK = (f"--filename={DISK} --rw=read --size=16M --bs=4k --direct=1 --ioengine=libaio "
             "--iodepth=16 --verify=crc32c --verify_fatal=1")
KEXECS = 5
FREEZES = 10


@scenario
def nvme_load(test):
    one = nvme.Controller(test.folder, "a", ("16M", "1M"))
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        nvme.load(guest)
        nvme.fio(guest, f"--filename={DISK} --rw=write {LOADED}")
        with test.case(f"frozen {FREEZES} times under batches of I/O, each time it is kept"):
            guest.run(f"{nvme.tool('fio')} --name=load --filename={DISK} --rw=randrw "
                      f"--time_based --runtime=1d {LOADED} > /tmp/fio 2>&1 &")
            guest.run("modprobe dpmgr_slow")
            guest.dmesg()
            for _ in range(FREEZES):
                mark = bench.mark()
                guest.wait_until(lambda mark=mark: bench.count("pci_nvme_write", mark) > 16,
                                 "there is I/O")
                guest.run(f"echo freeze > {SYSFS}/action")
                guest.run(f"echo unpreserve > {SYSFS}/action")
            log = guest.dmesg()
            expect(log.count("left to the next kernel, with 0 commands") == FREEZES, log)
            guest.run("rmmod dpmgr_slow; killall fio; while pidof fio; do sleep 0.1; done")
        last = 0
        for i in range(1, KEXECS + 1):
            mark = bench.mark()
            console = len(vm.read_log(test.log))

            def start(last=last):
                guest.run(f"{nvme.tool('fio')} --name=load --filename={DISK} --rw=randrw "
                          f"--time_based --runtime=1d {LOADED} > /tmp/fio 2>&1 &")
                # What it says on the console is on the disk.
                guest.run(f"i={last}; while :; do i=$((i+1)); echo $i | dd of={SECOND} bs=512 "
                          "conv=sync oflag=direct 2> /dev/null && echo on disk $i > "
                          "/dev/kmsg; done > /dev/null 2>&1 &")
                guest.wait_until(is_busy, "there is I/O")

            def is_busy(mark=mark, console=console):
                return (bench.count("pci_nvme_write", mark) > LEAST_WRITES
                        and "on disk" in vm.read_log(test.log)[console:])

            kexec(guest, before_it=start)
            with test.case(f"kexec {i} under load: taken over, undisturbed"):
                load_manager(guest)
                nvme.expect_taken_over(nvme.load(guest))
                bench.expect_undisturbed(mark)
            test.say(f"       {test.name}: kexec {i}: from the last I/O before to the first "
                     f"after: {bench.gap(mark):.2f} s")
            with test.case(f"kexec {i} under load: there was I/O until then"):
                said = re.findall(r"on disk (\d+)", vm.read_log(test.log)[console:])
                expect(int(said[-1]) > last, f"{said[-3:]}")
            with test.case(f"kexec {i} under load: what was complete is on the disk"):
                found = int(guest.run(f"head -c 512 {SECOND} | tr -d '\\0'"))
                expect(found >= int(said[-1]), f"{found} < {said[-1]}")
                last = found
            with test.case(f"kexec {i} under load: every block is whole"):
                nvme.fio(guest, READ_BACK)
        with test.case("one byte changed from outside is a block that is not whole"):
            steps.flip(one.files[0], 5 * 4096 + 1000)
            status, _ = guest.try_run(f"{nvme.tool('fio')} --name=job {READ_BACK}")
            expect(status, "fio finds nothing wrong")
        guest.power_off()


@scenario
def nvme_two(test):
    both = [nvme.Controller(test.folder, name, ("32M",)) for name in "ab"]
    guest, bench = boot(test, both)
    disks = ("/dev/dpnvme0n1", "/dev/dpnvme1n1")
    with guest:
        load_manager(guest)
        nvme.load(guest, parameters="depth=16")
        first, second = nvme.addresses(guest)
        for disk in disks:
            nvme.fio(guest, f"--filename={disk} {VERIFIED}")
        sums = [guest.run(f"sha256sum {disk}").split()[0] for disk in disks]
        steps.set_keepalive(guest, client(second, "queues"), False)
        mark = bench.mark()
        kexec(guest, in_window=lambda: bench.warn("a", 1))
        load_manager(guest)
        with test.case("of two controllers, the one whose keepalive is off was stopped"):
            expect(bench.count("pci_nvme_mmio_shutdown_set", mark) == 1
                   and bench.count("pci_nvme_mmio_stopped", mark) == 1,
                   "not exactly one was stopped")
        with test.case("the other is taken over, and this one cold-starts"):
            log = nvme.load(guest, parameters="depth=16")
            expect(nvme.cold_starts(log) == [(second, "it was not kept")], log)
            expect_in(f"{first}: taken over", log, "the log")
            expect(bench.count("pci_nvme_mmio_start_success", mark) == 1
                   and bench.count("pci_nvme_create_sq", mark) == 2,
                   "not exactly one was started")
        with test.case("both have their data, and the first its event"):
            nvme.wait_for_event(guest, log)
            expect_in(f"{first}: event: type 1", log + guest.dmesg(), "the log")
            for disk, before in zip(disks, sums):
                expect(guest.run(f"sha256sum {disk}").split()[0] == before,
                       f"{disk} has other data")
        with test.case("no page of the second is kept out of use"):
            table = guest.run(f"cat {DEBUGFS}/buffers")
            expect("orphaned" not in table and "pending" not in table, table)
        with test.case("both work"):
            for disk in disks:
                nvme.fio(guest, f"--filename={disk} {VERIFIED}")
            for name, bits in (("a", 3), ("b", 1)):
                expect_event(guest, bench, name, bits)
        guest.power_off()


def event_in_window(test, where, controller, before, append=""):
    """A kexec of a guest with these, and an event between the kernels."""
    guest, bench = boot(test, [controller], before, append)
    with guest:
        load_manager(guest)
        nvme.load(guest)
        nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
        mark = bench.mark()
        kexec(guest, in_window=lambda: bench.warn("a", 1))
        load_manager(guest)
        load_mark = bench.mark()
        with test.case(f"{where} an event in the window arrives"):
            expect(bench.count("pci_nvme_aer_post_cqe", mark, load_mark) == 1,
                   "it was not posted in the window")
            log = nvme.load(guest)
            nvme.expect_taken_over(log)
            nvme.wait_for_event(guest, log)
        with test.case("undisturbed, it works"):
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
            bench.expect_undisturbed(mark)
        guest.power_off()


@scenario
def nvme_port(test):
    one = nvme.Controller(test.folder, "a", ("32M",), bus="rp0")
    event_in_window(test, "behind a root port, whose Bus Master is kept on too,", one,
                    ["-device", "pcie-root-port,id=rp0,chassis=1"])


@scenario
def nvme_iommu(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    event_in_window(test, "behind an IOMMU that passes it through", one,
                    ["-device", "intel-iommu"], "intel_iommu=on iommu=pt")


def command_register(guest, address, master):
    """Turn Bus Master on or off."""
    path = f"{nvme.ALL_PCI}/{address}/config"
    low = int(guest.run(f"hexdump -s 4 -n 1 -e '1/1 \"%u\"' {path}"))
    low = low | 4 if master else low & ~4
    guest.run(f"printf '\\{low:03o}' | dd of={path} bs=1 seek=4 conv=notrunc")


def tamper(guest, address, what, parameters):
    guest.run(f"modprobe dpmgr_tamper address={address} "
              f"client={client(address, what)} {parameters}; status=$?; "
              "rmmod dpmgr_tamper; exit $status")


def fail_controller(guest, bench, address):
    """An event that can't be written: the controller takes it for fatal."""
    mark = bench.mark()
    command_register(guest, address, False)
    bench.warn("a", 1)
    guest.wait_until(lambda: bench.count("pci_nvme_err_cfs", mark), "the controller fails")
    command_register(guest, address, True)


# Where things are in what the driver hands over: struct saved, samples/dpmgr_nvme/keep.c.
VERSION, ASQ, SERIAL, BLOCKS, QUEUES, QUEUE = 0, 32, 56, 120, 1400, 48
# Bytes of numbers, each of which makes one that can't be when its lowest bit changes.
NUMBERS = {
    "number of queues": 15, "depth": 19, "pages of a command": 23,
    "number of commands": 24, "number of namespaces": 119, "block size": 132,
    "tail": QUEUES + QUEUE + 41, "head": QUEUES + QUEUE + 43,
    "identifier in flight, of none": QUEUES + QUEUE + 39,
    "identifier in flight, untold": QUEUES + QUEUE + 32,
    "admin command in flight": QUEUES + 32,
}


def misfits(guest, bench, address):
    """What went wrong, how to make it so, and what the driver says."""
    def spoil(what, parameters):
        return lambda: tamper(guest, address, what, parameters)

    return [
        ("nothing was handed over", spoil("queues", "drop_state=1"),
         "nothing was handed over"),
        ("it was handed over by another version", spoil("queues", f"offset={VERSION}"),
         "another version"),
        ("a function-level reset in between",
         lambda: guest.run(f"echo 1 > {nvme.ALL_PCI}/{address}/reset"), "it was reset"),
        ("other registers", spoil("queues", f"offset={ASQ}"),
         "its registers are not as they were left"),
        ("a controller that has failed",
         lambda: fail_controller(guest, bench, address), "it has failed"),
        ("Bus Master was turned off", lambda: command_register(guest, address, False),
         "Bus Master was turned off"),
        ("another controller", spoil("queues", f"offset={SERIAL}"),
         "it is another controller"),
        ("another capacity", spoil("queues", f"offset={BLOCKS}"),
         "its namespaces are not as they were"),
        *((f"a wrong number: {what}", spoil("queues", f"offset={offset}"), "damaged")
          for what, offset in NUMBERS.items()),
        ("another queue in the admin queue's place",
         spoil("queues", f"offset={QUEUES} swap_with={QUEUES + QUEUE}"), "damaged"),
        ("a queue is missing", spoil("queues", "tag='\"submission queue 1\"'"),
         "a buffer is missing"),
        ("a data buffer is missing", spoil("data", "tag='\"data 2\"'"),
         "a buffer is missing"),
    ]


def reload(guest, between=lambda: None, load=steps.load_command(SMALL), parameters=""):
    """Commit by hand, and load manager and driver anew; return the driver's log."""
    guest.run(f"echo commit > {SYSFS}/action; rmmod dpmgr_nvme; rmmod dma_pool_mgr")
    guest.run(load)
    between()
    return nvme.load(guest, parameters=parameters)


@scenario
def nvme_misfits(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, bench = boot(test, [one])
    with guest:
        load_manager(guest)
        nvme.load(guest)
        address, = nvme.addresses(guest)
        nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
        before = guest.run(f"sha256sum {DISK}")
        buffers = len(guest.run(f"cat {DEBUGFS}/buffers").splitlines())

        def expect_sound():
            expect(guest.run(f"sha256sum {DISK}") == before, "the disk has other data")
            table = guest.run(f"cat {DEBUGFS}/buffers")
            expect(len(table.splitlines()) == buffers and "orphaned" not in table
                   and "pending" not in table, table)

        with test.case("a reload of manager and driver: taken over, undisturbed"):
            mark = bench.mark()
            nvme.expect_taken_over(reload(guest))
            bench.expect_undisturbed(mark)
            expect_sound()
        for what, make, why in misfits(guest, bench, address):
            with test.case(f"{what}: a cold start, and the log says why"):
                mark = bench.mark()
                nvme.expect_cold_start(reload(guest, make), why)
                expect(bench.count("pci_nvme_mmio_start_success", mark) == 1,
                       "it was not started anew")
                expect_sound()
                if what == "a controller that has failed":
                    bench.warn("a", 0)
        for what in ("queues", "data"):
            with test.case(f"keepalive is off for its {what}: stopped properly, and a "
                           "cold start"):
                mark = bench.mark()
                steps.set_keepalive(guest, client(address, what), False)
                nvme.expect_cold_start(reload(guest), "it was not kept")
                expect(bench.count("pci_nvme_mmio_shutdown_set", mark) == 1,
                       "it was not shut down")
                expect_sound()
        with test.case("frozen and called off, it goes on"):
            mark = bench.mark()
            guest.run(f"echo freeze > {SYSFS}/action; echo unpreserve > {SYSFS}/action")
            expect_sound()
            expect_event(guest, bench, "a", 2)
            bench.expect_undisturbed(mark)
        with test.case("left to the next driver, it can't interrupt by its pin, which "
                       "nobody listens to"):
            guest.run(f"echo commit > {SYSFS}/action; rmmod dpmgr_nvme")
            command = int(guest.run("hexdump -s 4 -n 2 -e '1/2 \"%u\"' "
                                    f"{nvme.ALL_PCI}/{address}/config"))
            expect(command & 0x404 == 0x404, f"its command register is {command:#x}")
            guest.run("rmmod dma_pool_mgr")
            guest.run(steps.load_command(SMALL))
            nvme.expect_taken_over(nvme.load(guest))
        kexec(guest)
        load_manager(guest)
        guest.run(f"echo 1 > {nvme.ALL_PCI}/{address}/reset")
        with test.case("a function-level reset after a kexec: a cold start"):
            nvme.expect_cold_start(nvme.load(guest), "it was reset")
            expect_sound()
        guest.power_off()


@scenario
def nvme_vtl0(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    ram = test.ram()
    guest, bench = boot(test, [one], append=f"memmap=1M${scenarios_vtl.MAP:#x}", ram=ram)
    load = scenarios_vtl.LOAD

    def expect_open(is_open):
        pages = {"data": set(), "queues": set()}
        for start, length, name in re.findall(
                r"^private +0x([0-9a-f]+) +(\d+) .* nvme-\S+-(\w+) ",
                guest.run(f"cat {DEBUGFS}/buffers"), re.M):
            first = int(start, 16) >> 12
            pages[name] |= set(range(first, first + int(length)))
        expect(pages["queues"] and pages["data"], "it has no pages")
        flags = scenarios_vtl.read_map(ram)
        expect(all(flags[page] == scenarios_vtl.CLOSED for page in pages["queues"]),
               "pages of queues are open to VTL0")
        expect(all((flags[page] != scenarios_vtl.CLOSED) == is_open
                   for page in pages["data"]),
               f"data pages are not all {'open' if is_open else 'closed'}")

    with guest:
        nvme.set_up(guest)
        guest.run(load)
        with test.case("data pages are open to VTL0 if that is asked for, queues never"):
            nvme.load(guest, parameters="vtl0=1")
            expect_open(True)
            nvme.fio(guest, f"--filename={DISK} {VERIFIED}")
        before = guest.run(f"sha256sum {DISK}")
        with test.case("taken over, they are as they were"):
            mark = bench.mark()
            nvme.expect_taken_over(reload(guest, load=load, parameters="vtl0=1"))
            expect_open(True)
            bench.expect_undisturbed(mark)
        for vtl0 in (0, 1):
            with test.case("asked for otherwise than it was: a cold start, and they are "
                           + ("open" if vtl0 else "closed")):
                nvme.expect_cold_start(
                    reload(guest, load=load, parameters=f"vtl0={vtl0}"), "VTL0")
                expect_open(vtl0)
                expect(guest.run(f"sha256sum {DISK}") == before, "it has other data")
        guest.power_off()


# What fio does, how large its requests are, and how much it does in all.
JOBS = {"read 4k": ("randread", "4k", "64M"), "write 4k": ("randwrite", "4k", "64M"),
        "read 128k": ("read", "128k", "1G")}
RUNS = 2


def busy_seconds(guest):
    """How long the guest's one CPU was not idle, in its own time. That counts
    instructions, so that it doesn't matter what else the machine does meanwhile."""
    up, idle = map(float, guest.run("cat /proc/uptime").split())
    return up - idle


def measure(guest, disk):
    """The best of some runs of each job: IOPS in our time, and thousands of the guest's
    instructions for each I/O."""
    figures = {}
    for name, (rw, size, total) in JOBS.items():
        runs = []
        for _ in range(RUNS):
            busy = busy_seconds(guest)
            started = time.monotonic()
            report = nvme.fio(guest, f"--filename={disk} --rw={rw} --bs={size} --size=32M "
                              f"--io_size={total} --direct=1 --ioengine=libaio --iodepth=8")
            took = time.monotonic() - started
            busy = busy_seconds(guest) - busy
            total_ios = report["write" if "write" in rw else "read"]["total_ios"]
            runs.append((total_ios / took, 1e6 * busy / total_ios))
        figures[name] = max(iops for iops, _ in runs), min(cost for _, cost in runs)
    return figures


def in_tree(guest, address):
    """The same by the kernel's own driver."""
    guest.run("rmmod dpmgr_nvme")
    nvme.give(guest, address, "nvme")
    guest.run(f"modprobe nvme; echo {address} > /sys/bus/pci/drivers_probe; "
              "until [ -b /dev/nvme0n1 ]; do sleep 0.1; done")
    figures = measure(guest, "/dev/nvme0n1")
    guest.run("rmmod nvme")
    return figures


@scenario
def nvme_speed(test):
    one = nvme.Controller(test.folder, "a", ("32M",))
    guest, _ = boot(test, [one], ["-icount", "shift=0"], cpus=1)
    figures = {}
    with guest:
        load_manager(guest)
        nvme.load(guest)
        address, = nvme.addresses(guest)
        figures["before the kexec"] = measure(guest, DISK)
        kexec(guest)
        load_manager(guest)
        nvme.expect_taken_over(nvme.load(guest))
        figures["after it"] = measure(guest, DISK)
        figures["the in-tree driver"] = in_tree(guest, address)
        nvme.load(guest)
        figures["started anew"] = measure(guest, DISK)
        for name in JOBS:
            test.say(f"       {test.name}: {name}: " + "; ".join(
                f"{what} {found[name][0]:.0f} IOPS, {found[name][1]:.1f} k instructions each"
                for what, found in figures.items()))
        with test.case("after a kexec it is as fast as before, and as when it is started "
                       "anew, within noise"):
            for name in JOBS:
                after = figures["after it"][name][1]
                for what in ("before the kexec", "started anew"):
                    ratio = after / figures[what][name][1]
                    expect(0.9 < ratio < 1.1, f"{name}: {ratio:.2f} times {what}")
        guest.power_off()
