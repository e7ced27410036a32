# SPDX-License-Identifier: GPL-2.0-only
"""The scenarios: functions of a Test (run.py), each named as `make check-qemu
T=name` wants it, with hyphens. A case is a sentence about behaviour."""

import os
import re
import shlex
import struct
import subprocess

import initramfs
import steps
from steps import DEBUGFS, SECTIONS, SMALL
from vm import Failure

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def expect(condition, why):
    if not condition:
        raise Failure(why)


def expect_in(pattern, text, what):
    """PATTERN, a regular expression for part of a line, is in TEXT."""
    expect(re.search(pattern, text, re.M),
           f"{what}: nothing matches {pattern!r} in:\n{text.strip()}")


def ours(log):
    """The manager's own lines among the kernel's messages."""
    return [line for line in log.splitlines() if line.startswith("dma_pool_mgr: ")
            and "module verification failed" not in line
            and "loading out-of-tree module" not in line]


def expect_write_refused(guest, path, text, error):
    """Writing TEXT to PATH fails with ERROR, the errno's text; return the log."""
    guest.dmesg()
    status, output = guest.try_run(f"echo '{text}' > {path}")
    expect(status, f"{text!r} is taken by {path}")
    expect(error in output, f"{text!r} > {path}: {error} was expected, not: {output}")
    return guest.dmesg()


def expect_refused(guest, command, error, level=7):
    """COMMAND, a modprobe, fails with ERROR, the errno's text; return the log, or
    what in it is of LEVEL and below."""
    guest.dmesg()
    status, output = guest.try_run(command)
    if not status:
        guest.run("rmmod dma_pool_mgr")
        raise Failure(f"{command}: was not refused")
    expect(error in output, f"{command}: {error} was expected, not: {output.strip()}")
    return guest.dmesg(level)


def expect_nothing_claimed(guest):
    expect("dma_pool_mgr" not in guest.run("cat /proc/iomem"),
           "/proc/iomem still has an entry of dma_pool_mgr")


def mapped(guest):
    """How much of physical memory is mapped apart from RAM: lines of its addresses."""
    return guest.run("grep -o ' phys=.*' /proc/vmallocinfo | sort")


# ---- kexec ---------------------------------------------------------------


def whole_path(test, ranges, has_struct_pages):
    with test.boot(steps.memmap(ranges)) as guest:
        with test.case("the ranges' memory is with or without struct page, as meant"):
            present = guest.try_run("test -d /sys/devices/system/memory/memory4")[0] == 0
            expect(present == has_struct_pages, f"section 4 is present: {present}")
        with test.case("modprobe takes the ranges, and /proc/iomem names them"):
            guest.run(steps.load_command(ranges))
            iomem = guest.run("cat /proc/iomem")
            for item in ranges[:3]:
                start = int(item.split("@")[1], 16)
                expect_in(f"^ +{start:08x}-[0-9a-f]+ : dma_pool_mgr", iomem, "/proc/iomem")
        with test.case("sysfs shows the parameters as given, read-only"):
            given = ranges._asdict() | {"isolation": "auto", "vtom_bit": "-1",
                                        "vtl": "auto", "open_stock": "1024"}
            for name in given.keys() - {"reserved"}:
                path = f"/sys/module/dma_pool_mgr/parameters/{name}"
                value = guest.run(f"cat {path}").strip()
                expect(value == given[name], f"{name} is {value}")
                mode = guest.run(f"stat -c %a {path}").strip()
                expect(mode == "444", f"{name} has mode {mode}")
        with test.case("the module has a version, and no debug data"):
            version = guest.run("cat /sys/module/dma_pool_mgr/version").strip()
            expect(re.fullmatch(r"\d+\.\d+\.\d+", version), f"its version is {version!r}")
            status, _ = guest.try_run("grep -q debug_info "
                                      "/lib/modules/$(uname -r)/updates/dma_pool_mgr.ko")
            expect(status, "it has debug data")
        with test.case("the sample driver fills its buffers"):
            filled = steps.load_sample(guest, "filled")
            expect({buffer.client for buffer in filled}
                   == {"dpmgr-demo-shared", "dpmgr-demo-private"},
                   "not both clients have buffers")
        with test.case("debugfs lists pools, clients, buffers and state, mode 0400"):
            tables = {name: guest.run(f"cat {DEBUGFS}/{name}")
                      for name in ("pools", "clients", "buffers", "state")}
            modes = guest.run(f"cd {DEBUGFS} && stat -c %a *").split()
            expect(set(modes) == {"400"}, f"modes are {modes}")
            expect(len(tables["pools"].splitlines()) == 3, tables["pools"])
            for client in ("dpmgr-demo-shared", "dpmgr-demo-private"):
                expect_in(f"\\b{client}$", tables["clients"], "clients")
            expect(len(tables["buffers"].splitlines()) == 1 + len(filled),
                   tables["buffers"])
            for buffer in filled:
                expect_in(f"{buffer.pfn << 12:#018x} .* {buffer.size} .*"
                          f" {buffer.client} +{re.escape(buffer.tag)}$",
                          tables["buffers"], "buffers")
        with test.case("dpmgr-kexec refuses a kernel that wouldn't reserve the ranges"):
            status, output = guest.try_run(
                "dpmgr-kexec --initrd=/boot/initrd --command-line=console=ttyS0 /boot/vmlinuz")
            expect(status == 1, f"exit status {status}: {output}")
            for name in ("shared", "private", "state"):
                expect_in(f"^dpmgr-kexec: {name}={getattr(ranges, name)}: .*add memmap=",
                          output, "its refusal")
            expect(guest.run("cat /sys/kernel/kexec_loaded").strip() == "0",
                   "a kernel is loaded all the same")
        with test.case("dpmgr-kexec loads one that would, and kexec reaches it"):
            steps.kexec(guest)
        with test.case("the next kernel's manager finds the saved state"):
            guest.run(steps.load_command(ranges))
            expect_in("^found +restored$", guest.run(f"cat {DEBUGFS}/state"), "state")
        with test.case("the sample retrieves every buffer, every byte as it was"):
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        with test.case("freed and unloaded, nothing stays claimed"):
            steps.free_and_unload(guest)
            expect_nothing_claimed(guest)
        with test.case("what was restored is spent: the next load starts afresh"):
            guest.run(steps.load_command(ranges))
            steps.load_sample(guest, "filled")
        with test.case("the guest powers off without a complaint in its log"):
            guest.power_off()


@scenario
def kexec(test):
    whole_path(test, SMALL, has_struct_pages=True)


@scenario
def kexec_whole_sections(test):
    whole_path(test, SECTIONS, has_struct_pages=False)


# ---- damage between two kernels ------------------------------------------


@scenario
def demo_corrupt(test):
    with test.case("make demo fails and names the file if a byte of it is changed between "
                   "the kernels"):
        demo = subprocess.run([os.path.join(initramfs.TOP, "scripts/demo"), "--corrupt"],
                              text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect_in("Changing a byte of a file on the disk", demo.stdout, "what it says")
        expect(demo.returncode, "it succeeded all the same")
        expect_in("^The demo FAILED: .*sha256sum", demo.stdout, "what it says")
        expect_in("^text: FAILED$", demo.stdout, "what it says")


@scenario
def corrupt(test):
    ram = test.ram()
    with test.boot(steps.memmap(SMALL), ram=ram) as guest:
        guest.run(steps.load_command(SMALL))
        victim = steps.load_sample(guest, "filled")[-1]
        steps.kexec(guest)
        with test.case("a byte changed between the kernels fails the sample's load, "
                       "which names the buffer and the byte"):
            offset = victim.size - 1
            byte = steps.flip(ram, (victim.pfn << 12) + offset)
            guest.run(steps.load_command(SMALL))
            guest.dmesg()
            status, _ = guest.try_run("modprobe dpmgr_demo")
            log = guest.dmesg()
            expect(status, "the sample loads all the same")
            expect_in(f'^dpmgr_demo: {victim.client} "{re.escape(victim.tag)}": byte '
                      f"{offset} is {byte ^ 0xff:#04x}, expected {byte:#04x}$",
                      log, "the log")
        guest.power_off()


@scenario
def not_kept(test):
    client = "dpmgr-demo-shared"
    with test.boot(steps.memmap(SMALL)) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        steps.set_keepalive(guest, client, False)
        steps.kexec(guest)
        guest.run(steps.load_command(SMALL))
        with test.case("a client that was not kept takes new buffers in the next kernel, and "
                       "the other client verifies its own"):
            guest.dmesg()
            guest.run("modprobe dpmgr_demo")
            log = guest.dmesg()
            for pattern in (f"^dpmgr_demo: {client}: not kept: 5 buffers are given back$",
                            "^dpmgr_demo: verified 5 of 10 buffers$",
                            "^dpmgr_demo: filled 5 of 10 buffers$"):
                expect_in(pattern, log, "the log")
        with test.case("the buffers that were not kept are free again"):
            pages = sum(-(-buffer.size // steps.PAGE) for buffer in filled
                        if buffer.client == client)
            used = guest.run(f"cat {steps.SYSFS}/clients/{client}/pages").split()[0]
            expect(int(used) == pages, f"the client has {used} pages, not {pages}")
        steps.kexec(guest)
        guest.run(steps.load_command(SMALL))
        with test.case("a kernel later, both clients verify all their buffers"):
            steps.load_sample(guest, "verified")
        steps.free_and_unload(guest)
        guest.power_off()


def newest_slot(path, region):
    """The offset of the state region's slot with the newest committed generation,
    as include/linux/dma_pool_mgr_abi.h has it."""
    with open(path, "rb") as ram:
        ram.seek(region + 24)
        slot_size = struct.unpack("<Q", ram.read(8))[0]
        committed = []
        for slot in (region + 4096, region + 4096 + slot_size):
            ram.seek(slot)
            header = ram.read(48)
            generation, commit = struct.unpack_from("<16xI20xQ", header)
            if header.startswith(b"dpmgrslt") and \
                    commit == generation | (generation ^ 0xffffffff) << 32:
                committed.append((generation, slot))
    expect(committed, "no slot of the state region holds a generation")
    return max(committed)[1]


@scenario
def damaged_state(test):
    ram = test.ram()
    region = int(SMALL.state.split("@")[1], 16)
    with test.boot(steps.memmap(SMALL), ram=ram) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        steps.kexec(guest)
        with test.case("a state region changed between the kernels is refused"):
            victim = newest_slot(ram, region) + 48 + 40  # in the payload
            steps.flip(ram, victim)
            log = expect_refused(guest, steps.load_command(SMALL), "Bad message")
            expect_in(f"^dma_pool_mgr: state={SMALL.state}: damaged: ", log, "the log")
            expect_nothing_claimed(guest)
        with test.case("it is as it was: changed back, it is restored"):
            steps.flip(ram, victim)
            guest.run(steps.load_command(SMALL))
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        guest.power_off()


# ---- bad parameters ------------------------------------------------------

ERRORS = 3  # KERN_ERR

INVALID = "Invalid argument"                  # -EINVAL
TOO_FAR = "Numerical result out of range"     # -ERANGE
NO_ROOM = "No space left on device"           # -ENOSPC
CLAIMED = "Device or resource busy"           # -EBUSY
CANCELED = "Operation canceled"               # -ECANCELED
NOT_FOUND = "Unknown symbol in module, or unknown parameter"  # kmod's -ENOENT

POOL = "0x20000000"  # where the good ranges are; 64M reserved, RAM around it
GOOD = f"shared=16M@{POOL} private=16M@0x21000000 state=1M@0x22000000"

# What is wrong, parameters, the error, and the start of the log's one line after
# "dma_pool_mgr: " and before the rule.
BAD = [
    ("an empty value", "shared=", INVALID, "shared="),
    ("an empty item at the end", f"shared=1M@{POOL},", INVALID, "shared="),
    ("an empty item in between", f"private=1M@{POOL},,1M@0x21000000", INVALID, "private="),
    ("a missing size", f"shared=@{POOL}", INVALID, f"shared=@{POOL}"),
    ("a missing start", "private=1M@", INVALID, "private=1M@"),
    ("a missing @", "state=1M", INVALID, "state=1M"),
    ("memmap's $ for @", f"shared=1M${POOL}", INVALID, f"shared=1M${POOL}"),
    ("junk after a number", f"shared=1MB@{POOL}", INVALID, f"shared=1MB@{POOL}"),
    ("junk after a range", f"shared=1M@{POOL};", INVALID, f"shared=1M@{POOL};"),
    ("a sign", f"shared=-1M@{POOL}", INVALID, f"shared=-1M@{POOL}"),
    ("a size of zero", f"shared=0@{POOL}", INVALID, f"shared=0@{POOL}"),
    ("an unaligned size", f"private=2K@{POOL}", INVALID, f"private=2K@{POOL}"),
    ("an unaligned start", "state=1M@0x20000800", INVALID, "state=1M@0x20000800"),
    ("the second of two items", f"shared=1M@{POOL},1M@0x20100001", INVALID,
     "shared=1M@0x20100001"),
    ("a wrap at 2^64", "shared=8K@0xfffffffffffff000", TOO_FAR,
     "shared=8K@0xfffffffffffff000"),
    ("a number of 65 bits", f"private=16E@{POOL}", TOO_FAR, f"private=16E@{POOL}"),
    ("a start beyond the physical address bits", "shared=1M@0x10000000000000", TOO_FAR,
     "shared=1M@0x10000000000000"),
    ("a range of more pages than can be counted", "shared=8E@0x20000000", TOO_FAR,
     "shared=8E@0x20000000"),
    ("System RAM", "shared=1M@0x10000000", INVALID, "shared=1M@0x10000000"),
    ("the end of what is reserved, and RAM after it", "shared=2M@0x23f00000", INVALID,
     "shared=2M@0x23f00000"),
    ("RAM, and what is reserved after it", "private=2M@0x1ff00000", INVALID,
     "private=2M@0x1ff00000"),
    ("shared and private that overlap", f"shared=2M@{POOL} private=2M@0x20100000",
     INVALID, "private=2M@0x20100000"),
    ("shared and state that overlap", f"shared=2M@{POOL} state=1M@0x20100000",
     INVALID, "state=1M@0x20100000"),
    ("private and state that are the same", f"private=1M@{POOL} state=1M@{POOL}",
     INVALID, f"state=1M@{POOL}"),
    ("two items that overlap", f"shared=2M@{POOL},1M@{POOL}", INVALID,
     f"shared=1M@{POOL}"),
    ("a claimed range", "shared=1M@0x28000000", CLAIMED, "shared=1M@0x28000000"),
    ("a range with a claimed piece", "private=2M@0x28000000", CLAIMED,
     "private=2M@0x28000000"),
    ("an unknown isolation", f"shared=1M@{POOL} isolation=tee", INVALID, "isolation=tee"),
    ("an unknown isolation, and no ranges", "isolation=tee", INVALID, "isolation=tee"),
    ("a vTOM bit above 63, and no ranges", "vtom_bit=99", INVALID, "vtom_bit=99"),
    ("a vTOM bit inside a page", f"shared=1M@{POOL} vtom_bit=11", INVALID, "vtom_bit=11"),
    ("a vTOM bit above 63", f"shared=1M@{POOL} vtom_bit=64", INVALID, "vtom_bit=64"),
    ("an isolation that the platform has not", f"shared=1M@{POOL} isolation=snp", INVALID,
     "isolation=snp"),
    ("an isolation that the platform has not, and no ranges", "isolation=vbs", INVALID,
     "isolation=vbs"),
    ("a vTOM bit that the platform has not", f"shared=1M@{POOL} vtom_bit=39", INVALID,
     "vtom_bit=39"),
    ("a vTOM bit that the platform has not, and no ranges", "vtom_bit=39", INVALID,
     "vtom_bit=39"),
    ("an unknown reserve_mem name", "shared=name:nosuch", NOT_FOUND,
     "shared=name:nosuch"),
    ("a name without a name", "shared=name:", INVALID, "shared=name:"),
    ("name: for the state region", "state=name:scratch", INVALID, "state=name:scratch"),
    ("two state regions", f"state=1M@{POOL},1M@0x20100000", INVALID, "state="),
    ("a state region that is too small", f"shared=1M@{POOL} state=4K@0x20100000",
     NO_ROOM, "state=4K@0x20100000"),
]


def last_page(guest):
    """The last megabyte that physical addresses reach."""
    bits = re.search(r"(\d+) bits physical", guest.run("cat /proc/cpuinfo"))[1]
    return (1 << int(bits)) - (1 << 20)


# What in a case's name decides which rule the log must name; the first that fits.
RULES = [
    ("an isolation that the platform has not", "the platform's is none; leave"),
    ("a vTOM bit that the platform has not", "no address bit marks shared memory"),
    ("name: for the state", "doesn't survive a kexec"),
    ("unknown reserve_mem", "no reserve_mem= reservation has this name"),
    ("a name without a name", "must be followed by the name"),
    ("two state regions", "too many ranges"),
    ("too small", "needs at least 12288 bytes"),
    ("isolation", "must be auto, none, vbs, snp or tdx"),
    ("vTOM", "must be a bit of a page's address"),
    ("an empty", "an item is empty"),
    ("missing size", "the size is not a number"),
    ("missing start", "the start is not an address"),
    ("missing @", "the start is missing"),
    ("memmap's $", "the start is missing"),
    ("junk after a number", "the size is not a number"),
    ("junk after a range", "the start is not an address"),
    ("a sign", "the size is not a number"),
    ("size of zero", "the size is zero"),
    ("unaligned size", "not a multiple of the page size"),
    ("unaligned start", "not page aligned"),
    ("second of two items", "not page aligned"),
    ("wrap at 2^64", "wraps at 2^64"),
    ("65 bits", "does not fit in 64 bits"),
    ("beyond the physical", "above the highest physical address"),
    ("more pages than", "at most 2^32 - 2 pages"),
    ("overlap", "overlaps"),
    ("that are the same", "overlaps"),
    ("claimed", "ramoops uses it"),
    ("configuration space", "not wholly RAM in firmware's map"),
    ("RAM", "not wholly in reserved memory"),
    ("reserved", "not wholly in reserved memory"),
    ("PCI", "not wholly in reserved memory"),
    ("hole", "not wholly in reserved memory"),
]


def find_ranges(guest):
    """Bad ranges whose address depends on the machine."""
    iomem = guest.run("cat /proc/iomem")
    bar = re.search(r"^ +([0-9a-f]+)-[0-9a-f]+ : 0000:00:..\..$", iomem, re.M)
    windows = [start for start in
               re.findall(r"^([0-9a-f]+)-[0-9a-f]+ : PCI Bus", iomem, re.M)
               if int(start, 16) >= 1 << 30]
    last = re.search(r"^([0-9a-f]+)-3fffffff : Reserved$", iomem, re.M)
    ecam = re.search(r"^([0-9a-f]+)-[0-9a-f]+ : PCI ECAM", iomem, re.M)
    expect(bar and windows and last and ecam, "a range is not to be found in:\n" + iomem)
    return [("a PCI BAR", f"1M@0x{bar[1]}", INVALID),
            ("an unused PCI window", f"1M@0x{windows[0]}", INVALID),
            ("PCI's configuration space, which the firmware reserves",
             f"1M@0x{ecam[1]}", INVALID),
            ("firmware's reserved memory, and the hole after it", f"1M@0x{last[1]}",
             INVALID),
            ("a hole", "1M@0x3000000000", INVALID),
            ("an end beyond the physical address bits",
             f"2M@{last_page(guest):#x}", TOO_FAR)]


@scenario
def badparams(test):
    append = f"memmap=64M${POOL} memmap=128M$0x28000000 reserve_mem=4M:4096:scratch"
    with test.boot(append, devices=["-device", "edu"]) as guest:
        # A real driver that claims reserved memory, at least where that has no
        # struct page: a whole section.
        guest.run("modprobe ramoops mem_address=0x28000000 mem_size=0x100000 "
                  "record_size=0x10000 ecc=0")
        expect_in("^ +28000000-.*ramoops", guest.run("cat /proc/iomem"), "/proc/iomem")
        bad = BAD + [(what, "shared=" + item, error, "shared=" + item)
                     for what, item, error in find_ranges(guest)]
        mapped_before = mapped(guest)
        for what, parameters, error, line in bad:
            with test.case(f"refused: {what}", go_on=True):
                words = " ".join(map(shlex.quote, parameters.split()))
                log = ours(expect_refused(guest, "modprobe dma_pool_mgr " + words,
                                          error, ERRORS))
                rule = next((text for words, text in RULES if words in what), None)
                expect(rule, "no rule is written down for this case")
                expect(len(log) == 1 and log[0].startswith(f"dma_pool_mgr: {line}")
                       and rule in log[0],
                       f"one line with {line!r} and {rule!r} was expected: {log}")
                expect_nothing_claimed(guest)
                expect(mapped(guest) == mapped_before, "something is still mapped")
                guest.run(f"modprobe dma_pool_mgr {GOOD} && rmmod dma_pool_mgr")
        with test.case("reserve_mem= memory is taken by name, for what doesn't persist"):
            guest.run("modprobe dma_pool_mgr shared=name:scratch")
            expect_in("^shared .* nothing ", guest.run(f"cat {DEBUGFS}/pools"), "pools")
            guest.run("rmmod dma_pool_mgr")
        with test.case("decimal, hex and every spelling of a suffix are taken"):
            guest.run("modprobe dma_pool_mgr shared=1m@536870912,1024k@0x20100000 "
                      "private=0x100000@514M state=0x400K@0X20300000")
            guest.run("rmmod dma_pool_mgr")
        with test.case("modinfo describes every parameter"):
            described = guest.run("modinfo -F parm dma_pool_mgr")
            for name in ("shared", "private", "state", "isolation", "vtom_bit",
                         "vtl", "emul_state", "open_stock"):
                expect_in(f"^{name}:\\S", described, "modinfo")
        guest.power_off()


@scenario
def reserved_bar(test):
    with test.boot(devices=["-device", "edu"]) as guest:
        iomem = guest.run("cat /proc/iomem")
        bar = re.search(r"^ +([0-9a-f]+)-[0-9a-f]+ : 0000:00:..\..$", iomem, re.M)
        expect(bar, "edu's BAR is not to be found in:\n" + iomem)
        guest.power_off()
    item = f"1M@0x{bar[1]}"
    with test.boot(f"memmap=1M$0x{bar[1]}", devices=["-device", "edu"]) as guest:
        with test.case("a PCI BAR is refused also where the command line reserved it"):
            log = ours(expect_refused(guest, f"modprobe dma_pool_mgr shared={item}",
                                      INVALID, ERRORS))
            expect(len(log) == 1 and f"shared={item}: not wholly RAM in firmware's map"
                   in log[0], f"the log says {log}")
            expect_nothing_claimed(guest)
        guest.power_off()


# ---- other ways down -----------------------------------------------------


@scenario
def plain_reboot(test):
    ram = test.ram()
    append = steps.memmap(SMALL)
    with test.boot(append, ram=ram) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        guest.send("reboot -f")
        guest.wait_end("reboot")
    # The firmware and all after it start again on the memory as it was.
    with test.case("memory outlives the reboot"):
        with open(ram, "rb") as memory:
            for buffer in filled:
                memory.seek(buffer.pfn << 12)
                expect(any(memory.read(buffer.size)), f"{buffer} is all zero")
    with test.boot(append, ram=ram) as guest:
        with test.case("after a plain reboot nothing is restored: the sample starts anew"):
            guest.run(steps.load_command(SMALL))
            expect_in("^found +spent$", guest.run(f"cat {DEBUGFS}/state"), "state")
            steps.load_sample(guest, "filled")
        guest.power_off()


@scenario
def kdump(test):
    with test.boot(steps.memmap(SMALL) + " crashkernel=256M", memory="1536M") as guest:
        guest.run(steps.load_command(SMALL))
        steps.load_sample(guest, "filled")
        guest.run("kexec -p -s /boot/vmlinuz --initrd=/boot/initrd "
                  "--command-line=\"$(cat /proc/cmdline) nr_cpus=1 reset_devices\"")
        guest.send("echo c > /proc/sysrq-trigger")
        guest.wait_ready("the crash kernel")
        guest.forgive_log()
        with test.case("in a crash kernel the module refuses to load, and says why"):
            expect(guest.try_run("test -e /proc/vmcore")[0] == 0, "not a crash kernel")
            log = expect_refused(guest, steps.load_command(SMALL),
                                 "Operation not permitted")
            expect_in("^dma_pool_mgr: .*kdump", log, "the log")
            expect_nothing_claimed(guest)
        guest.power_off()


@scenario
def stopped_notifier(test):
    with test.boot(steps.memmap(SMALL), devices=[
            "-device", "i6300esb", "-action", "watchdog=none"]) as guest:
        guest.run(steps.load_command(SMALL))
        steps.load_sample(guest, "filled")
        # A watchdog that can't be stopped ends the chain of reboot notifiers.
        guest.run("modprobe i6300esb nowayout=1")
        guest.run("(while :; do echo; sleep 5; done > /dev/watchdog) > /dev/null 2>&1 &")
        guest.dmesg()
        steps.kexec(guest)
        with test.case("a kexec that another notifier kept us from saving is refused, "
                       "not taken for a cold start"):
            log = expect_refused(guest, steps.load_command(SMALL), "Bad message")
            expect_in("the last save failed", log, "the log")
            expect_nothing_claimed(guest)
        guest.power_off()


# ---- unloading -----------------------------------------------------------


@scenario
def unload(test):
    with test.boot(steps.memmap(SMALL)) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        with test.case("each live client holds the module"):
            # And so does the sample, which uses its symbols.
            users = int(guest.run("cat /sys/module/dma_pool_mgr/refcnt"))
            expect(users == 2 + 1, f"the use count is {users}")
            status, output = guest.try_run("rmmod dma_pool_mgr")
            expect(status and "in use" in output, f"{status}: {output}")
        with test.case("rmmod is refused while persistent buffers are parked: the absent "
                       "clients hold the module"):
            guest.run("rmmod dpmgr_demo")
            users = int(guest.run("cat /sys/module/dma_pool_mgr/refcnt"))
            expect(users == 2, f"the use count is {users}")
            status, output = guest.try_run("rmmod dma_pool_mgr")
            expect(status and "in use" in output, f"{status}: {output}")
            clients = guest.run(f"cat {DEBUGFS}/clients")
            expect_in("^absent .* dpmgr-demo-private$", clients, "clients")
        with test.case("the next driver of that name retrieves what was parked"):
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        with test.case("with all of them freed, both modules unload"):
            steps.free_and_unload(guest)
            expect_nothing_claimed(guest)
        with test.case("without ranges there is no manager, and drivers are told so"):
            guest.run("modprobe dma_pool_mgr")
            status, output = guest.try_run("modprobe dpmgr_demo")
            expect(status and "No such device" in output, f"{status}: {output}")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()


# ---- NUMA ----------------------------------------------------------------


@scenario
def numa(test):
    devices = []
    for node in (0, 1):
        devices += ["-object", f"memory-backend-ram,id=node{node},size=512M",
                    "-numa", f"node,nodeid={node},memdev=node{node}"]
    ranges = SMALL._replace(
        private="16M@0x10000000,16M@0x30000000",
        reserved=["65M$0x22000000", "16M$0x10000000", "16M$0x30000000"])
    with test.boot(steps.memmap(ranges), devices=devices) as guest:
        with test.case("each range's node is found, and shown"):
            guest.run(steps.load_command(ranges))
            pools = guest.run(f"cat {DEBUGFS}/pools")
            for pool, start, node in (("shared", 0x22000000, 1),
                                      ("private", 0x10000000, 0),
                                      ("private", 0x30000000, 1)):
                expect_in(f"^{pool} +{start:#018x} +0x[0-9a-f]+ +{node} ", pools, "pools")
        guest.power_off()
