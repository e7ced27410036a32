# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios that go round and round, with drivers that keep an account of all they
hold (guest/dpmgr_soak.c): many kexecs in a row, and a guest that is killed while it
saves.

The environment says how long: KEXECS and KILLS; and SEED, which is printed, makes a
scenario choose again what it chose then."""

import os
import random
import struct
import time
import zlib

import soak
import state
import steps
from scenarios import expect, scenario
from steps import SMALL


def chances(test):
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    test.say(f"       {test.name}: SEED={seed}")
    return random.Random(seed)


def amount(name, default):
    return int(os.environ.get(name) or default)


# Of the time that it takes to boot, much goes into these.
FAST_BOOT = " mitigations=off cryptomgr.notests"


# ---- kexecs --------------------------------------------------------------


class Fleet:
    """The drivers, and what each is to have: sets of buffers by client.

    live: what drivers have; absent: what waits for drivers that haven't come back;
    kept: what is kept out of use, of both."""

    def __init__(self, guest, ram, chance, size):
        self.guest = guest
        self.ram = ram
        self.chance = chance
        self.names = [f"soak-{i}" for i in range(size)]
        self.live = {name: set() for name in self.names}
        self.absent = {}
        self.kept = {name: set() for name in self.names}

    def some(self, names, probability):
        """Which of NAMES: a choice that a seed repeats."""
        return [name for name in sorted(names) if self.chance.random() < probability]

    def start(self, skip=()):
        self.guest.run(steps.load_command(SMALL))
        soak.load(self.guest, len(self.names), skip)

    def check(self):
        """Everything is where it is to be, with the contents it is to have; nothing
        that is kept or awaited is in use."""
        found = soak.buffers(self.guest)
        for name in sorted(self.live.keys() | found.keys()):
            want, have = self.live.get(name), found.get(name)
            expect(want == have, f"{name} has {have}, not {want}")
        for name, client in soak.clients(self.guest).items():
            expect(client.kept_out == len(self.kept[name]),
                   f"{name}: {client.kept_out} buffers are kept out of use, not "
                   f"{len(self.kept[name])}")
        self.look()

    def look(self):
        """The same as far as it is to be seen in memory."""
        every = [buffer for held in (self.live, self.absent, self.kept)
                 for buffers in held.values() for buffer in buffers]
        pages = soak.pages(every)
        expect(len(pages) == sum(buffer.pages for buffer in every),
               "a page is in use twice")
        soak.expect_contents(self.ram, every)

    def change(self):
        """Drivers allocate and free, and some go and come back."""
        soak.command(self.guest, "change", f"{self.chance.randrange(1 << 32)} "
                     f"{self.chance.randrange(50, 250)}")
        self.live = soak.buffers(self.guest)
        for name in self.some(self.live, 0.2):
            soak.unbind(self.guest, name)
            self.look()
            soak.bind(self.guest, name)
        for name in self.some(self.absent, 0.3):
            soak.set_parameter(self.guest, "skip", self.absent.keys() - {name})
            soak.bind(self.guest, name)
            self.live[name] = self.absent.pop(name)
        soak.command(self.guest, "verify")
        self.check()

    def settle(self):
        """Of some, the devices stop: what is kept of them is given back, scrubbed."""
        for name in self.some(self.live, 0.4):
            if self.kept[name]:
                soak.command(self.guest, "stopped", name)
                soak.wait_scrubbed(self.guest, self.ram, self.kept[name])
                self.kept[name] = set()
        if self.absent and self.chance.random() < 0.2:
            gone = [buffer for name in self.absent
                    for buffer in self.absent[name] | self.kept[name]]
            self.guest.run(f"echo reclaim-forced > {steps.SYSFS}/finish")
            soak.wait_scrubbed(self.guest, self.ram, gone)
            for name in self.absent:
                self.absent[name] = set()
                self.kept[name] = set()

    def kexec(self):
        """Some may not be kept, some refuse to freeze, some don't come back."""
        for name in sorted(self.live):
            steps.set_keepalive(self.guest, name, True)
        unkept = set(self.some(self.live, 0.2))
        for name in sorted(unkept):
            steps.set_keepalive(self.guest, name, False)
        refuse = self.some(self.live, 0.1)
        soak.set_parameter(self.guest, "refuse", refuse)
        steps.kexec(self.guest)
        for name in sorted(unkept | set(refuse)):
            self.kept[name] |= self.live[name]
            self.live[name] = set()

        known = self.live | self.absent
        skip = self.some(known, 0.25)
        self.absent = {name: known[name] for name in skip}
        self.live = {name: known[name] for name in known if name not in skip}
        self.start(skip)

    def describe(self):
        def total(held):
            return sum(map(len, held.values()))
        return (f"{total(self.live)} buffers of {len(self.live)} drivers, "
                f"{total(self.absent)} of {len(self.absent)} that are away, "
                f"{total(self.kept)} kept out of use")


@scenario
def kexecs(test):
    chance = chances(test)
    rounds = amount("KEXECS", 5)
    ram = test.ram()
    with test.boot(steps.memmap(SMALL) + FAST_BOOT, ram=ram) as guest:
        fleet = Fleet(guest, ram, chance, 12)
        with test.case("every byte of every buffer is verified, of drivers that allocate, "
                       "free, go and come"):
            fleet.start()
            fleet.change()
        for number in range(1, rounds + 1):
            with test.case(f"kexec {number} of {rounds} loses nothing, with drivers that "
                           "refuse, may not be kept, or don't come back"):
                fleet.kexec()
                fleet.check()
                test.say(f"       {test.name}: {fleet.describe()}")
                fleet.settle()
                fleet.change()
        with test.case("when all have come back, stopped and freed, nothing stays"):
            soak.set_parameter(guest, "skip", [])
            for name in fleet.names:
                if name in fleet.absent:
                    soak.bind(guest, name)
                soak.command(guest, "stopped", name)
                soak.command(guest, "empty", name)
            guest.run("rmmod dpmgr_soak")
            guest.run("rmmod dma_pool_mgr")
        guest.power_off()


# ---- kill ----------------------------------------------------------------

# 80 MiB of it in use, in single pages.
MANY = steps.Ranges("52M@0x10000000", "52M@0x14000000", "4M@0x18000000",
                    ["52M$0x10000000", "52M$0x14000000", "4M$0x18000000"])
KILL_CLIENTS = 8
KILL_BUFFERS = 20000
KILL_CHANGES = 100

# Seconds: encoding so many, and the checksum, when the host has nothing else to do.
LONGEST_SAVE = 0.01

# Seconds between two looks at the state region.
LOOK = 0.0002


class Victim:
    """A guest that commits in a loop, to be killed and started again."""

    def __init__(self, test, chance, ram):
        self.test = test
        self.chance = chance
        self.ram = ram
        self.killed = 0
        self.counted = 0
        self.missed = False

    def region(self):
        return state.Region(self.ram, MANY.state)

    def start(self, guest, slot):
        """Load everything; what SLOT says, if there is one, must come back."""
        guest.run(steps.load_command(MANY) + " test_keep_commits=1")
        if not slot:
            soak.load(guest, KILL_CLIENTS)
            soak.command(guest, "fill", f"{self.chance.randrange(1 << 32)} "
                         f"{KILL_BUFFERS // KILL_CLIENTS}")
            return
        log = guest.dmesg()
        expect(f"restored generation {slot.generation}:" in log,
               f"generation {slot.generation} was not restored: {log}")
        soak.load(guest, KILL_CLIENTS)
        runs, states = slot.decode()
        found = soak.clients(guest)
        expect(found.keys() == states.keys(), f"clients are {sorted(found)}")
        sequences = {struct.unpack_from("<I", saved) for saved in states.values()}
        expect(len(sequences) == 1, f"states of several commits are mixed: {sequences}")
        for name, saved in states.items():
            # Names the list as a whole: the driver has compared it with its buffers.
            expect(found[name].crc == kernel_crc32(saved),
                   f"{name}: another state came back than was committed")
            entries = entries_of(saved)
            expect(entries == sorted((run.pfn, run.pages) for run in runs
                                     if run.client == name and run.state == "allocated"),
                   f"{name}: the state region has other runs than its driver's state")
            expect(found[name].buffers == len(entries),
                   f"{name} has {found[name].buffers} buffers, not {len(entries)}")

    def commit_until_killed(self, guest):
        """Cut the power some commits later, at a random moment of a save or soon
        after: when the drivers are frozen, or when that is committed, after they have
        freed buffers. Between commits a good generation is there from the first on.
        After a kill that came too late for a slot that is being written, wait for a
        moment that does not: on a busy machine they would all be late."""
        spent = self.region().spent
        seed = self.chance.randrange(1 << 32)
        guest.send(f"echo {seed} {KILL_CHANGES} > {soak.DEBUGFS}/commit_loop")
        watch = state.Watch(self.ram, MANY.state)
        commits = self.chance.randint(1, 8)
        guest.wait_until(lambda: watch.newest() >= spent + commits, "commits", LOOK)
        is_save = self.chance.choice([watch.is_written, watch.is_written_again])
        longest = LONGEST_SAVE
        while True:
            guest.wait_until(is_save, "a save", LOOK)
            time.sleep(self.chance.uniform(0, longest))
            guest.stand_still()
            hit = any(slot.torn() for slot in self.region().slots)
            if hit or not self.missed:
                break
            longest /= 2
            guest.go_on()
        self.missed = not hit
        guest.kill()
        watch.close()
        self.killed += 1

    def once(self, wanted):
        """Boot, verify what the last kill left, and be killed, unless WANTED kills have
        hit a slot that was being written."""
        slot = None
        hit = False
        if self.killed:
            region = self.region()
            slot = region.good()
            expect(slot and slot.intact, "there is no good generation")
            hit = any(other.torn() for other in region.slots)
        with self.test.boot(steps.memmap(MANY) + FAST_BOOT + " quiet", ram=self.ram,
                            cpus=1) as guest:
            self.start(guest, slot)
            self.counted += hit
            if self.counted == wanted:
                guest.power_off()
            else:
                self.commit_until_killed(guest)


def entries_of(driver_state):
    """The pages that a driver's list names."""
    return [(pfn, -(-size // steps.PAGE))
            for pfn, size, _ in struct.iter_unpack("<QII", driver_state[8:])]


def kernel_crc32(data):
    """crc32_le(~0, data), which the kernel does not invert in the end."""
    return zlib.crc32(data) ^ 0xFFFFFFFF


@scenario
def kill(test):
    chance = chances(test)
    kills = amount("KILLS", 10)
    victim = Victim(test, chance, test.ram())
    # The last boot only verifies.
    with test.case("killed at random moments while it commits in a loop, it comes back "
                   "with exactly the last committed generation, every byte of every buffer "
                   f"verified: {kills} kills"):
        while victim.counted < kills:
            before = victim.counted
            victim.once(kills)
            if victim.counted > before and victim.counted % 20 == 0:
                test.say(f"       {test.name}: {victim.counted} of {kills}")
        test.say(f"       {test.name}: killed {victim.killed} times; counted are those "
                 "that hit a slot that was being written")
