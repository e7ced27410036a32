# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios with samples/dpmgr_edu.c: a device whose file user space reads, writes and
maps, and which goes while that is in use."""

import base64

import monitor
import steps
from edu import EDU
from scenarios import expect, expect_in, scenario
from scenarios_iommu import IOMMU, dma, faults, load_target, row
from scenarios_power import suspend

# The device has 28 address bits.
LOW = steps.Ranges("16M@0x08000000", "16M@0x09000000", "1M@0x0a000000",
                   ["16M$0x08000000", "16M$0x09000000", "1M$0x0a000000"])

SIZE = 16384
DATA = bytes(1 + i * 7 + (i >> 8) & 0xff for i in range(SIZE))

DRIVER = "/sys/bus/pci/drivers/dpmgr_edu_sample"


def edu_addresses(guest):
    """The PCI addresses of the edu devices, in order."""
    return guest.run("grep -l 0x11e8 /sys/bus/pci/devices/*/device | cut -d / -f 6").split()


class File:
    """The file of a device, and what should be in it."""

    def __init__(self, guest, address):
        self.guest = guest
        self.name = "dpmgr-edu-" + address
        self.path = "/dev/" + self.name
        self.start_again()

    def start_again(self):
        self.data = bytearray(SIZE)
        self.data[:len(self.name)] = self.name.encode()

    def read(self):
        """All of it, by the device."""
        return base64.b64decode(self.guest.run(
            f"dd if={self.path} bs={SIZE} 2> /dev/null | base64"))

    def write(self, size, record):
        """Have the device write a record of SIZE bytes."""
        start = size * record
        data = DATA[start:start + size]
        self.guest.run(f"echo {base64.b64encode(data).decode()} | base64 -d | "
                       f"dd of={self.path} bs={size} seek={record} iflag=fullblock")
        self.data[start:start + size] = data

    def map(self, data=b""):
        """Change the beginning by a mapping; return what the mapping holds then."""
        self.data[:len(data)] = data
        return base64.b64decode(self.guest.run(
            f"echo {base64.b64encode(data).decode()} | base64 -d | "
            f"mapped {self.path} {SIZE} | base64"))


def tables(guest):
    """What debugfs shows of drivers."""
    return {name: guest.run(f"cat {steps.DEBUGFS}/{name}")
            for name in ("clients", "buffers", "streams", "regions", "targets")}


def expect_nothing_left(guest, before):
    after = tables(guest)
    for name, table in before.items():
        expect(after[name] == table, f"debugfs {name} was:\n{table}and is:\n{after[name]}")


def unbind(address):
    return f"echo {address} > {DRIVER}/unbind"


def check_file(test, guest, file, what):
    with test.case(f"{what}: the file begins with what the device has copied when it was "
                   "probed"):
        guest.run("modprobe dpmgr_edu_sample")
        expect(file.read() == file.data, "it holds something else")
    with test.case(f"{what}: what is written to it, in short and in long records, the device "
                   "reads back, and a mapping shows it"):
        for size, record in ((1, 100), (100, 3), (256, 5), (257, 7), (5000, 1)):
            file.write(size, record)
        expect(file.read() == file.data, "the device reads something else")
        expect(file.map() == file.data, "the mapping shows something else")
    with test.case(f"{what}: what is written to a mapping, the device reads"):
        expect(file.map(DATA[::-1]) == file.data, "the mapping shows something else")
        expect(file.read() == file.data, "the device reads something else")
    with test.case(f"{what}: the file has an end"):
        write = f"dd if=/dev/zero of={file.path} bs={SIZE} seek=1 count=1"
        status, output = guest.try_run(write)
        expect(status and "No space left" in output, f"{write}: {status}: {output}")
        expect(guest.try_run(f"mapped {file.path} {SIZE + 1} < /dev/null")[0],
               "more can be mapped")


def check_end(test, guest, file, address, before, what):
    """What is open, mapped or under way when the driver is unbound."""
    with test.case(f"{what}: an open file outlives the device, and keeps the module"):
        status, output = guest.try_run(
            f"exec 4<> {file.path}; {unbind(address)}; test -e {file.path} && echo there\n"
            "dd bs=1 count=1 <&4; echo x >&4; rmmod dpmgr_edu_sample")
        expect(status and output.count("No such device") == 2 and "there" not in output
               and "in use" in output, f"{status}: {output}")
        expect_nothing_left(guest, before)
    with test.case(f"{what}: bound again, the device has a new file"):
        guest.run(f"echo {address} > {DRIVER}/bind")
        file.start_again()
        expect(file.read() == file.data, "it holds something else")
    with test.case(f"{what}: a mapping outlives the device, with its bytes"):
        file.write(5000, 1)
        guest.run("mkfifo -m 600 /tmp/hold; "
                  f"mapped {file.path} {SIZE} < /tmp/hold > /tmp/held & "
                  "sleep 86400 > /tmp/hold & echo $! > /tmp/holder")
        guest.wait_for(f"cat /proc/[0-9]*/maps | grep -q {file.path}")
        guest.run(unbind(address))
        guest.run(f"echo {address} > {DRIVER}/bind")
        guest.run("kill $(cat /tmp/holder); rm /tmp/hold")
        guest.wait_for("! pidof mapped")
        expect(base64.b64decode(guest.run("base64 /tmp/held")) == file.data,
               "it shows something else")
        file.start_again()
        expect(file.read() == file.data, "the new file holds something else")
    with test.case(f"{what}: a request that is under way is waited for"):
        guest.run(f"dd if={file.path} of=/tmp/read bs={SIZE} count=1 2> /dev/null & "
                  f"until ls -l /proc/$!/fd | grep -q {file.path}; do :; done; sleep 0.5; "
                  f"{unbind(address)}; wait $!")
        expect(base64.b64decode(guest.run("base64 /tmp/read")) == file.data,
               "it has read something else")
    with test.case(f"{what}: unloaded, it leaves nothing, and can be loaded again"):
        guest.run("rmmod dpmgr_edu_sample")
        expect_nothing_left(guest, before)
        guest.run("modprobe dpmgr_edu_sample")
        expect(file.read() == file.data, "it holds something else")
        guest.run("rmmod dpmgr_edu_sample")


@scenario
def edu_sample(test):
    what = "without an IOMMU"
    qemu = monitor.Monitor(test.folder)
    with test.boot(steps.memmap(LOW) + " no_console_suspend",
                   devices=["-device", "edu", *qemu.arguments]) as guest:
        guest.run(steps.load_command(LOW))
        before = tables(guest)
        address, = edu_addresses(guest)
        file = File(guest, address)
        check_file(test, guest, file, what)
        check_end(test, guest, file, address, before, what)
        # QEMU is killed then: after a suspend it does not power off.
        with test.case("after a suspend to RAM, the file is as it was, and so is the region"):
            guest.run("modprobe dpmgr_edu_sample; echo deep > /sys/power/mem_sleep")
            suspend(guest, qemu)
            expect(row(guest, "regions", address + " BAR 0")["state"] == "active",
                   "other devices can't read the registers")
            expect(file.read() == file.data, "the device reads something else")
            guest.run("rmmod dpmgr_edu_sample")
            expect_nothing_left(guest, before)
            guest.run("rmmod dma_pool_mgr")

    what = "behind an IOMMU"
    with test.boot(steps.memmap(LOW) + " intel_iommu=on no_timer_check",
                   devices=[*IOMMU, "-device", "edu", *EDU]) as guest:
        guest.run(steps.load_command(LOW))
        before = tables(guest)
        address, other = edu_addresses(guest)
        guest.run(f"echo dpmgr_edu > /sys/bus/pci/devices/{other}/driver_override")
        file = File(guest, address)
        check_file(test, guest, file, what)
        with test.case(f"{what}: the device has a target, and nothing has faulted"):
            row(guest, "targets", "iommu " + address)
            expect(faults(guest) == 0, "there were faults")
            expect_in(f"^pool +both .* 256 +{file.name}$",
                      guest.run(f"cat {steps.DEBUGFS}/streams"), "debugfs streams")
        with test.case("another device can read its registers, and not write to them"):
            line = row(guest, "regions", address + " BAR 0")
            expect(line["state"] == "active" and line["access"] == "ro", f"{line}")
            load_target(guest)
            base = int(guest.run(f"cat /sys/bus/pci/devices/{address}/resource").split()[0], 16)
            dma(guest, "load", base + 0x1000)
            # At another page: QEMU drops a write that the IOTLB forbids, without a fault.
            dma(guest, "store", base + 0x2000, faulting=True)
        with test.case("and not even read them once its driver has gone"):
            guest.run(unbind(address))
            dma(guest, "load", base + 0x1000, faulting=True)
            guest.run("rmmod dpmgr_edu")
            expect_nothing_left(guest, before)
        guest.run(f"echo {address} > {DRIVER}/bind")
        check_end(test, guest, file, address, before, what)
        guest.run("rmmod dma_pool_mgr")
        guest.power_off()
