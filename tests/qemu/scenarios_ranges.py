# SPDX-License-Identifier: GPL-2.0-only
"""Which memory may be a range, and which next kernel would keep off it."""

import re
import shlex

import steps
from scenarios import (CLAIMED, ERRORS, INVALID, expect, expect_in,
                       expect_nothing_claimed, expect_refused, mapped, ours, scenario)
from steps import SMALL

NO_MEMORY = "Input/output error"  # -EIO

NOT_RAM = "not wholly RAM in firmware's map"
NOT_FIRMWARES = "not wholly reserved in firmware's map"
NO_ANSWER = "no memory answers at "

# RAM; no memory at all; the local APIC's registers; the end of RAM, and what the
# firmware reserves behind it; RAM for ramoops. All in one word: more than four.
RESERVED = ("memmap=64M$0x20000000,64M$0x200000000,4K$0xfee00000,2M$0x3fe00000,"
            "4M$0x28000000")


def firmware_reserved(guest):
    """What the firmware's own map reserves: (first, last) of each."""
    found = guest.run("cd /sys/firmware/memmap; grep -l Reserved */type | while read -r "
                      "type; do cat ${type%type}start ${type%type}end; done").split()
    numbers = [int(number, 16) for number in found]
    return list(zip(numbers[::2], numbers[1::2]))


def unused_page(ram, first, last):
    """A page of zeroes among what the firmware reserves in the guest's memory."""
    with open(ram, "rb") as memory:
        for page in range(first, last, steps.PAGE):
            memory.seek(page)
            if not any(memory.read(steps.PAGE)):
                return page
    return None


@scenario
def reserved_is_not_free(test):
    ram = test.ram()
    with test.boot(RESERVED, ram=ram, devices=["-device", "edu"]) as guest:
        areas = firmware_reserved(guest)
        tables = next((area for area in areas if area[1] == 0x3fffffff), None)
        flash = next((area for area in areas if area[1] == 0xffffffff), None)
        ecam = re.search(r"^ *([0-9a-f]+)-[0-9a-f]+ : PCI ECAM",
                         guest.run("cat /proc/iomem"), re.M)
        expect(tables and flash and ecam, f"the firmware reserves only {areas}")
        size = tables[1] + 1 - tables[0]
        guest.run("modprobe ramoops mem_address=0x28000000 mem_size=0x100000 "
                  "record_size=0x10000 ecc=0")
        expect("ramoops" not in guest.run("cat /proc/iomem"), "ramoops claims its memory")
        with open(ram, "rb") as memory:
            memory.seek(tables[0])
            before = memory.read(size)
        mapped_before = mapped(guest)
        for what, item, error, rule in [
                ("the firmware's tables", f"{size}@{tables[0]:#x}", INVALID, NOT_RAM),
                ("a place without memory", "32M@0x200000000", INVALID, NOT_RAM),
                ("that, as the firmware's", "firmware:32M@0x200000000", INVALID,
                 NOT_FIRMWARES),
                ("RAM as the firmware's", "firmware:1M@0x20000000", INVALID, NOT_FIRMWARES),
                ("RAM and the tables behind it", "2M@0x3fe00000", INVALID, NOT_RAM),
                ("that, as the firmware's", "firmware:2M@0x3fe00000", INVALID,
                 NOT_FIRMWARES),
                ("the local APIC", "4K@0xfee00000", INVALID, NOT_RAM),
                ("that, as the firmware's", "firmware:4K@0xfee00000", INVALID,
                 NOT_FIRMWARES),
                ("PCI's configuration space", f"1M@0x{ecam[1]}", INVALID, NOT_RAM),
                ("that, as the firmware's", f"firmware:1M@0x{ecam[1]}", CLAIMED,
                 "claimed by another driver"),
                ("the firmware's flash, named as such", "firmware:64K@0xffff0000",
                 NO_MEMORY, NO_ANSWER + "0xffff0"),
                ("what ramoops uses", "1M@0x28000000", CLAIMED, "ramoops uses it"),
                ("what ramoops uses, and more", "2M@0x28000000", CLAIMED,
                 "ramoops uses it")]:
            # A state region has three pages at least.
            is_page = item.split(":")[-1].startswith("4K@")
            for name in ("private",) if is_page else ("private", "state"):
                with test.case(f"refused: {what}, {name}={item}", go_on=True):
                    log = ours(expect_refused(
                        guest, f"modprobe dma_pool_mgr {shlex.quote(f'{name}={item}')}",
                        error, ERRORS))
                    expect(len(log) == 1 and rule in log[0] and
                           log[0].startswith(f"dma_pool_mgr: {name}={item}: "),
                           f"one line with {rule!r} was expected: {log}")
                    expect_nothing_claimed(guest)
                    expect(mapped(guest) == mapped_before, "something is still mapped")
        with test.case("a second range that doesn't answer undoes the first"):
            expect_refused(guest, "modprobe dma_pool_mgr "
                           "private=1M@0x20000000,firmware:64K@0xffff0000 "
                           "shared=1M@0x20100000 state=1M@0x20200000", NO_MEMORY)
            expect_nothing_claimed(guest)
        with test.case("nothing of the firmware's was written to"):
            with open(ram, "rb") as memory:
                memory.seek(tables[0])
                expect(memory.read(size) == before, "the firmware's memory has changed")
        with test.case("beside ramoops, and once that is gone, there is no harm"):
            guest.run("modprobe dma_pool_mgr shared=1M@0x28100000 && rmmod dma_pool_mgr")
            guest.run("rmmod ramoops")
            guest.run("modprobe dma_pool_mgr shared=2M@0x28000000 && rmmod dma_pool_mgr")
        with test.case("memory that firmware set aside is taken by name"):
            page = unused_page(ram, *tables)
            expect(page, "the firmware uses all that it reserves")
            guest.run(f"modprobe dma_pool_mgr private=firmware:4K@{page:#x}")
            expect_in(f"^ +{page:08x}-.*dma_pool_mgr private", guest.run("cat /proc/iomem"),
                      "/proc/iomem")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()


# ---- the next kernel -----------------------------------------------------

# Half of RAM: what is put at random in it is soon in this.
HALF = steps.Ranges("64M@0x20000000", "0x1b800000@0x24000000", "1M@0x3f800000",
                    ["64M$0x20000000", "0x1b800000$0x24000000", "1M$0x3f800000"])
ALL = ",".join(HALF.reserved)


@scenario
def kexec_decompressor(test):
    with test.boot(f"memmap={ALL}") as guest:
        guest.run(steps.load_command(HALF))
        filled = steps.load_sample(guest, "filled")
        base = guest.run("cat /proc/cmdline").strip().replace(f"memmap={ALL}", "")
        for what, words, blame in [
                ("a fifth word", "memmap=4K$1M memmap=4K$2M memmap=4K$3M memmap=4K$5M "
                 f"memmap={ALL}", f'ignores "memmap={ALL}"'),
                ("exactmap in the ranges' word",
                 f"memmap=exactmap,640K@0,0x3fedf000@1M,{ALL}", 'the item "exactmap"'),
                ("an empty item", f"memmap=,{ALL}", 'the item ""'),
                ("mem=0", f"mem=0 memmap={ALL}", 'stops at "mem=0"'),
                ("a quoted --", f'"--" memmap={ALL}', 'what follows "--"'),
                ("a later exactmapx", f"memmap={ALL} memmap=exactmapx",
                 '"memmap=exactmapx" drops')]:
            with test.case(f"dpmgr-kexec refuses {what}, and names it", go_on=True):
                status, output = guest.try_run(
                    "dpmgr-kexec --initrd=/boot/initrd "
                    f"{shlex.quote('--command-line=' + base + words)} /boot/vmlinuz")
                expect(status == 1, f"exit status {status}: {output}")
                for name in ("shared", "private", "state"):
                    expect(f"dpmgr-kexec: {name}={getattr(HALF, name)}: " in output
                           and blame in output, f"it says {output}")
                expect(guest.run("cat /sys/kernel/kexec_loaded").strip() == "0",
                       "a kernel is loaded all the same")
        # The decompressor's rule is four in all, and no randomisation for a longer word.
        words = f"memmap=4K$1M,4K$2M memmap={ALL}"
        with test.case("a kernel that dpmgr-kexec lets pass keeps off the ranges"):
            guest.run("dpmgr-kexec --initrd=/boot/initrd "
                      f"{shlex.quote('--command-line=' + base + words)} /boot/vmlinuz")
            guest.send("kexec -e")
            guest.wait_ready("the kernel after kexec")
            expect(words in guest.run("cat /proc/cmdline"), "not that command line")
            guest.run(steps.load_command(HALF))
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        guest.power_off()


@scenario
def kexec_load_syscall(test):
    """kexec-tools' own loader goes by /sys/firmware/memmap and hands that on."""
    with test.boot(steps.memmap(SMALL)) as guest:
        guest.run(steps.load_command(SMALL))
        filled = steps.load_sample(guest, "filled")
        guest.run("dpmgr-kexec --dry-run --reuse-cmdline")
        guest.run("kexec -c -l --reuse-cmdline --initrd=/boot/initrd /boot/vmlinuz")
        guest.send("kexec -e")
        guest.wait_ready("the kernel after kexec")
        with test.case("after a kexec by the older call, RAM that the command line "
                       "reserves is RAM in the firmware's map as before"):
            guest.run(steps.load_command(SMALL))
            guest.run("dpmgr-kexec --dry-run --reuse-cmdline")
            steps.same_buffers(filled, steps.load_sample(guest, "verified"))
        guest.power_off()
