# SPDX-License-Identifier: GPL-2.0-only
"""Reads a state region in the file that is a guest's memory: a reader of its own, made
from include/linux/dma_pool_mgr_abi.h alone."""

import collections
import mmap
import struct

HEADER_SIZE = 4096
REGION_MAGIC = b"dma_pool_mgr\0st\n"
SLOT_MAGIC = b"dpmgrslt"
STRINGS, RANGES, CLIENTS, RUNS, PAGES, DEVICES, PLATFORM, DRIVER_STATE = range(1, 9)

REGION = struct.Struct("<16sIIQIIQ")
SLOT = struct.Struct("<8sHHIIIQIIQ")
SECTION = struct.Struct("<IIQ")
CLIENT = struct.Struct("<IBBBB")
RUN = struct.Struct("<QIIIHBB")
DEVICE = struct.Struct("<IIII")

Run = collections.namedtuple("Run", "client pfn pages tag slack state")
RUN_STATES = ["allocated", "pending", "orphaned", "draining", "leaked"]


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    """CRC-32C as the kernel's crc32c(~0, ...): not inverted in the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def word(generation):
    return generation | (generation ^ 0xFFFFFFFF) << 32


class Slot:
    """One of the two. COMMITTED: the commit word is that of its generation; INTACT:
    header and payload are what their checksums say; BLANK: never written."""

    def __init__(self, data):
        (magic, _, self.minor, _, self.generation, _, length, payload_crc, crc,
         self.commit) = SLOT.unpack_from(data)
        self.header_intact = (magic == SLOT_MAGIC and crc32c(data[:36]) == crc
                              and length <= len(data) - SLOT.size)
        self.payload = data[SLOT.size:SLOT.size + length] if self.header_intact else b""
        self.intact = self.header_intact and crc32c(self.payload) == payload_crc
        self.committed = self.commit == word(self.generation)
        self.blank = not any(data[8:4096])

    def torn(self):
        """Was a save cut short while it was being written?"""
        return not self.commit and not self.intact and not self.blank

    def sections(self):
        found = {}
        at = 0
        while at < len(self.payload):
            kind, _, length = SECTION.unpack_from(self.payload, at)
            at += SECTION.size
            found[kind] = self.payload[at:at + length]
            at += length + -length % 8
        return found

    def decode(self):
        """Its runs, and each client's driver state."""
        sections = self.sections()

        def string(at):
            return sections[STRINGS][at:sections[STRINGS].index(b"\0", at)].decode()

        names = [string(name) for name, *_ in CLIENT.iter_unpack(sections[CLIENTS])]
        runs = [Run(names[client], pfn, pages, string(tag), slack, RUN_STATES[state])
                for pfn, pages, client, tag, slack, state, _
                in RUN.iter_unpack(sections[RUNS])]
        states = {}
        at = 0
        for name, (_, _, length, _) in zip(names, DEVICE.iter_unpack(sections[DEVICES])):
            states[name] = sections[DRIVER_STATE][at:at + length]
            at += length + -length % 8
        return runs, states


class Watch:
    """Looks at the slots' headers while the guest writes them; at no checksum."""

    def __init__(self, path, item):
        size, start = item.split("M@")
        with open(path, "rb") as ram:
            self.data = mmap.mmap(ram.fileno(), int(size) << 20, prot=mmap.PROT_READ,
                                  offset=int(start, 16))
        self.complete = None

    def close(self):
        self.data.close()

    def heads(self):
        """Of each slot, where it is, the generation in its header and whether that is
        committed."""
        slot_size = REGION.unpack_from(self.data)[3]
        for at in (HEADER_SIZE, HEADER_SIZE + slot_size):
            _, _, _, _, generation, *_, commit = SLOT.unpack_from(self.data, at)
            yield at, generation, commit == word(generation)

    def newest(self):
        """The highest committed generation, spent or not; 0 if there is none."""
        return max((generation for _, generation, committed in self.heads() if committed),
                   default=0)

    def is_written(self):
        """Is a generation being written? Its header comes after its payload."""
        newest = self.newest()
        return any(not committed and generation < newest
                   for _, generation, committed in self.heads())

    def is_written_again(self):
        """Is one, complete but for its commit, being written once more, with what has
        changed meanwhile?"""
        newest = self.newest()
        for at, generation, committed in self.heads():
            if committed or generation <= newest:
                continue
            beginning = self.data[at + SLOT.size:at + SLOT.size + 65536]
            if self.complete != (generation, beginning):
                seen, self.complete = self.complete, (generation, beginning)
                return seen and seen[0] == generation
        return False


class Region:
    """A state region as it is now."""

    def __init__(self, path, item):
        """PATH: the memory; ITEM: the region, as SIZE@START with a size in MiB."""
        size, start = item.split("M@")
        with open(path, "rb") as ram:
            ram.seek(int(start, 16))
            data = ram.read(int(size) << 20)
        magic, _, _, slot_size, crc, _, spent = REGION.unpack_from(data)
        self.intact = magic == REGION_MAGIC and crc32c(data[:32]) == crc
        self.spent = spent & 0xFFFFFFFF if spent == word(spent & 0xFFFFFFFF) else None
        if not self.intact:
            self.slots = []
            return
        self.slots = [Slot(data[at:at + slot_size])
                      for at in (HEADER_SIZE, HEADER_SIZE + slot_size)]

    def good(self):
        """The slot that the next load must restore, or None."""
        if self.spent is None:
            return None
        return max((slot for slot in self.slots
                    if slot.committed and slot.generation > self.spent),
                   key=lambda slot: slot.generation, default=None)
