# SPDX-License-Identifier: GPL-2.0-only
"""What the demo and the scenarios do with QEMU's NVMe controller and samples/dpmgr_nvme:
the controllers, their witness (QEMU's own trace log), QEMU's monitor, and a disk with
tools for the guest."""

import collections
import json
import os
import re
import subprocess
import threading

import initramfs
import monitor
from vm import Failure

TOOLS = ["usr/bin/fio", "sbin/mke2fs", "sbin/sfdisk"]
ALL_PCI = "/sys/bus/pci/devices"

# What a controller that goes on does not do, nor have done to it.
DISTURBANCE = re.compile(
    r"pci_nvme_(mmio_start_success|mmio_start_failed|mmio_stopped|mmio_shutdown_\w+|"
    r"pci_reset|mmio_cfg|mmio_aqattr|mmio_asqaddr\w*|mmio_acqaddr\w*|"
    r"create_[sc]q|del_[sc]q)$")

TOOLS_LOCK = threading.Lock()

Event = collections.namedtuple("Event", "time name text")


def build_tools(guest_root, folder):
    """A disk image with fio, mke2fs and sfdisk, and what they need: it is kept out of
    the initramfs since kexec checksums that, slowly."""
    root = os.path.join(folder, "tools")
    image = os.path.join(folder, "tools.img")
    with TOOLS_LOCK:
        if os.path.exists(image):
            return image
        for path in TOOLS:
            initramfs.install_program(guest_root, root, path)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", root, image, "160M"],
                       check=True, capture_output=True)
    return image


class Controller:
    """One QEMU "nvme" device and the files that are its namespaces."""

    def __init__(self, folder, name, sizes=("64M",), more="", bus=None,
                 block_size=512):
        self.name = name
        self.files = []
        self.drives = []
        self.arguments = []
        on_bus = f",bus={bus}" if bus else ""
        self.arguments += ["-device",
                           f"nvme,id={name},serial=dpmgr-{name}{on_bus}{more}"]
        for i, size in enumerate(sizes, 1):
            path = os.path.join(folder, f"{name}-{i}.img")
            subprocess.run(["truncate", "-s", "0", path], check=True)
            subprocess.run(["truncate", "-s", size, path], check=True)
            drive = f"{name}d{i}"
            self.files.append(path)
            self.drives.append(drive)
            self.arguments += [
                "-drive", f"if=none,id={drive},file={path},format=raw,discard=unmap",
                "-device", f"nvme-ns,id={name}n{i},drive={drive},bus={name},nsid={i},"
                f"logical_block_size={block_size},physical_block_size={block_size}"]
        self.folder = folder

    def add_zoned(self, size):
        """One more namespace, whose blocks are written in the order of its zones."""
        name, nsid = self.name, len(self.files) + 1
        path = os.path.join(self.folder, f"{name}-zoned.img")
        subprocess.run(["truncate", "-s", "0", path], check=True)
        subprocess.run(["truncate", "-s", size, path], check=True)
        self.arguments += [
            "-drive", f"if=none,id={name}z,file={path},format=raw",
            "-device", f"nvme-ns,id={name}zn,drive={name}z,bus={name},nsid={nsid},"
            "zoned=true,zoned.zone_size=4M"]


class Bench:
    """A guest's arguments: controllers, tools, trace log and monitor; and what can then
    be done with these from outside."""

    def __init__(self, folder, tools, controllers, before=()):
        self.trace_log = os.path.join(folder, "trace.log")
        if os.path.exists(self.trace_log):
            os.remove(self.trace_log)
        self.monitor = monitor.Monitor(folder)
        self.devices = [
            *before,
            *(argument for one in controllers for argument in one.arguments),
            "-drive", f"if=none,id=tools,file={tools},format=raw,readonly=on",
            "-device", "virtio-blk-pci,drive=tools",
            "-trace", "pci_nvme_*", "-trace", "pci_cfg_write",
            "-msg", "timestamp=on", "-D", self.trace_log,
            *self.monitor.arguments]

    # ---- the monitor -----------------------------------------------------

    def qmp(self, command, **arguments):
        return self.monitor.qmp(command, **arguments)

    def warn(self, name, bits):
        """Let the controller find a critical warning, a bit that wasn't set before."""
        self.qmp("qom-set", path=f"/machine/peripheral/{name}",
                 property="smart_critical_warning", value=bits)

    def throttle(self, namespace, bps):
        """Let the namespace serve so many bytes a second; 0: as many as it can."""
        self.qmp("block_set_io_throttle", id=f"/machine/peripheral/{namespace}",
                 bps=bps, bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)

    # ---- the witness -----------------------------------------------------

    def mark(self):
        """This moment in the trace log: a place to split it."""
        try:
            return os.path.getsize(self.trace_log)
        except FileNotFoundError:
            return 0

    def events(self, start=0, end=None):
        """What the log says between two marks, but for other devices' config space."""
        with open(self.trace_log, encoding="ascii", errors="replace") as log:
            log.seek(start)
            text = log.read() if end is None else log.read(end - start)
        for found in re.finditer(r"^\d+@(\d+\.\d+):(\w+) (.*)$", text, re.M):
            name = found[2]
            if name.startswith("pci_nvme_") or " nvme " in " " + found[3]:
                yield Event(float(found[1]), name, found[3])

    def count(self, name, start=0, end=None):
        return sum(event.name == name for event in self.events(start, end))

    def disturbances(self, start, end=None):
        return [event for event in self.events(start, end)
                if DISTURBANCE.match(event.name)]

    def expect_undisturbed(self, start, end=None):
        """No start, stop or reset, and no queue made or unmade."""
        found = self.disturbances(start, end)
        if found:
            raise Failure("the controller was disturbed: "
                          + " / ".join(f"{one.name} {one.text}" for one in found[:8]))

    def gap(self, kexec):
        """From the last I/O before the next kernel found the controller to the first
        one after: seconds. KEXEC: a mark before it was asked for."""
        def is_io(event):
            return event.name in ("pci_nvme_read", "pci_nvme_write")

        last = max((event.time for event in self.events(0, kexec) if is_io(event)),
                   default=None)
        is_found = False
        for event in self.events(kexec):
            if event.name == "pci_cfg_write":
                # The next kernel finds out how large the BAR is.
                is_found |= event.text.endswith("@0x10 <- 0xffffffff")
            elif is_io(event) and is_found:
                return event.time - last
            elif is_io(event):
                last = event.time
        raise Failure("there is no I/O before, or none after")


# ---- in the guest ----------------------------------------------------------

def set_up(guest):
    """The tools' disk, after each boot."""
    guest.run("modprobe -a virtio_pci virtio_blk ext4; mkdir -p /tools; "
              "mount -t ext4 -o ro /dev/vda /tools")


def tool(name):
    path = next(path for path in TOOLS if path.endswith("/" + name))
    return f"LD_LIBRARY_PATH=/tools/lib /tools/{path}"


def addresses(guest):
    """The controllers' PCI addresses, in order."""
    return guest.run(f"grep -l 0x010802 {ALL_PCI}/*/class | cut -d / -f 6").split()


def give(guest, address, driver="dpmgr_nvme"):
    guest.run(f"echo {driver} > {ALL_PCI}/{address}/driver_override")


def load(guest, which=None, parameters=""):
    """Give the controllers at these addresses, or all, to the driver; return its log."""
    for address in which or addresses(guest):
        give(guest, address)
    guest.dmesg()
    # A freeze refuses to wait for longer, and there is always I/O that comes to its end.
    guest.run("echo 3600 > /sys/kernel/dma_pool_mgr/freeze_limit")
    guest.run(f"modprobe dpmgr_nvme drain_ms=600000 {parameters}")
    return guest.dmesg()


def cold_starts(log):
    """Why the driver has not taken over what it found: an answer for each controller."""
    return re.findall(r"^dpmgr_nvme (\S+): cold start: (.*)$", log, re.M)


def expect_taken_over(log, nr=1):
    if cold_starts(log) or len(re.findall(": taken over: ", log)) != nr:
        raise Failure("not taken over:\n" + log)


def expect_cold_start(log, why):
    reasons = [reason for _, reason in cold_starts(log)]
    if len(reasons) != 1 or why not in reasons[0] or ": started: " not in log:
        raise Failure(f"a cold start because {why!r} was expected:\n{log}")


def wait_for_event(guest, log=""):
    """Wait until the driver has told of an event, if it has not done so in LOG, which was
    read last."""
    if ": event: type 1" not in log:
        guest.wait_for("dmesg | grep -q ': event: type 1'")


def wait_for_inflight(guest, nr, disk="dpnvme0n1"):
    """Wait until so many reads and writes are on their way."""
    guest.wait_for(f"[ $(awk '{{ print $1 + $2 }}' /sys/block/{disk}/inflight) -ge {nr} ]")


def fio(guest, job):
    """Run fio; return its figures."""
    out = guest.run(f"{tool('fio')} --output-format=json --name=job {job} 2>/dev/null")
    report = json.loads(out[out.index("{"):])["jobs"][0]
    if report["error"]:
        raise Failure(f"fio {job}: error {report['error']}")
    return report


def disks(guest):
    return sorted(os.path.basename(path) for path in
                  guest.run("ls -d /sys/block/dpnvme* 2>/dev/null || true").split())
