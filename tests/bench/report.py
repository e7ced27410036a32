# SPDX-License-Identifier: GPL-2.0-only
"""Judges what the benchmarks have measured by the page allocator's targets.

report.py FOLDER PART...
report.py --scales FOLDER LOG       only says whether two CPUs scaled by themselves

Reads the parts' logs in FOLDER, writes all they say to results.json there and a
picture to cost.svg, and prints a table. Exits with 1 if a target is missed or a
run is void. Two CPUs that don't even scale on loops of their own make what is
said of them void too, but that is the machine's fault, and no failure.
"""

import json
import os
import re
import statistics
import sys

import picture

LOGS = {
    "uml": ["uml"],
    "icount": ["icount-1", "icount-2", "icount-3"],
    "smp": ["smp-1", "smp-2", "smp-8"],
    "threads": ["threads"],
}

LINE = re.compile(r"bench: (\w+)((?: \w+=(?:\"[^\"]*\"|\S+))*)")
WORD = re.compile(r"(\w+)=(\"[^\"]*\"|\S+)")


def value(text):
    return int(text) if re.fullmatch(r"-?\d+", text) else text.strip('"')


def parse(log):
    """The results in a log, as dictionaries; what each is of is its "bench"."""
    return [{"bench": match[1]} | {name: value(text)
                                   for name, text in WORD.findall(match[2])}
            for match in LINE.finditer(log)]


def select(rows, **wanted):
    return [row for row in rows
            if all(row.get(name) == value for name, value in wanted.items())]


def scaling(rows, **wanted):
    """The median of how many times as much several CPUs do as one alone, or None."""
    ratios = [row["all_per_s"] / max(row["one_per_s"], 1)
              for row in select(rows, bench="cpus", **wanted)]
    return statistics.median(ratios) if ratios else None


def machine_scales(rows):
    """Do two CPUs do almost twice as much of what they don't share?"""
    return (scaling(rows, work="private", cpus=2) or 0) >= 1.9


class Measurement:
    """One measurement of hot pairs: what was timed in turn, in nanoseconds."""

    def __init__(self, rows):
        self.what = {name: value for name, value in rows[0].items()
                     if name not in ("subject", "pairs", "min_ps", "median_ps")}
        self.ns = {row["subject"]: row["min_ps"] / 1000 for row in rows}

    def __getitem__(self, subject):
        return self.ns[subject]

    def ratio(self, subject, beside):
        return self.ns[subject] / self.ns[beside]


def measurements(rows, bench, **wanted):
    """The measurements of a benchmark, in order."""
    grouped = {}
    for row in select(rows, bench=bench, **wanted):
        if "subject" not in row:
            continue
        key = tuple((name, row[name]) for name in
                    ("fronts", "shape", "live", "pages", "direction", "bytes", "subs")
                    if name in row)
        grouped.setdefault(key, []).append(row)
    return [Measurement(rows) for rows in grouped.values()]


class Table:
    """Lines of target, what, measured, required, met."""

    def __init__(self):
        self.lines = []

    def add(self, target, what, measured, required, met, judged=True):
        """MET: True, False, or why it can't be said; not JUDGED: for information."""
        if not judged:
            verdict = "-"
        elif isinstance(met, str):
            verdict = met
        else:
            verdict = "yes" if met else "NO"
        self.lines.append({"target": target, "what": what, "measured": measured,
                           "required": required, "met": verdict})

    def most(self, target, what, measured, limit, unit="x", digits=2, void=None):
        if measured is None:
            self.add(target, what, "not measured", "", False)
            return
        self.add(target, what, f"{measured:,.{digits}f}{unit}",
                 f"<= {limit:,.{digits}f}{unit}", void or measured <= limit)

    def least(self, target, what, measured, limit, unit="x", digits=2, void=None):
        if measured is None:
            self.add(target, what, "not measured", "", False)
            return
        self.add(target, what, f"{measured:,.{digits}f}{unit}",
                 f">= {limit:,.{digits}f}{unit}", void or measured >= limit)

    def say(self, target, what, measured):
        self.add(target, what, measured, "", True, judged=False)

    def show(self):
        columns = ("target", "what", "measured", "required", "met")
        rows = [dict(zip(columns, columns))] + self.lines
        widths = {name: max(len(row[name]) for row in rows) for name in columns}
        for row in rows:
            print("  ".join(row[name].ljust(widths[name]) for name in columns).rstrip())

    def failed(self):
        return [line for line in self.lines if line["met"] in ("NO", "void")]


FRONTS = {0: "without fronts", 1: "with fronts"}


def worst(found, subject, beside):
    """The measurement in which SUBJECT is slowest BESIDE something."""
    return max(found, key=lambda measured: measured.ratio(subject, beside), default=None)


def of(pages):
    return "1 page" if pages == 1 else f"{pages} pages"


def ratio_of(measured, subject, beside):
    return measured.ratio(subject, beside) if measured else None


def where(measured):
    if not measured:
        return ""
    what = measured.what
    return f"{what['shape']}, {what['live']:,} live"


def judge_flat(table, machine, rows, limit, replace_limit, void):
    for fronts in (0, 1):
        for pages in (1, 8, 512):
            at = worst(measurements(rows, "flat", fronts=fronts, pages=pages), "core",
                       "near_empty")
            table.most("1", f"{machine}: {of(pages)} {FRONTS[fronts]}, worst of all "
                       f"states ({where(at)}), beside near-empty",
                       ratio_of(at, "core", "near_empty"), limit, void=void)
    for fronts in (0, 1):
        at = measurements(rows, "replace", fronts=fronts, live=1000000)
        table.most("1", f"{machine}: replacing 1 of 1,000,000 pages {FRONTS[fronts]}, "
                   "beside 1 of 100", ratio_of(at[0] if at else None, "core", "few"),
                   replace_limit, void=void)


def judge_core(table, machine, rows, gen_pool_limit, buddy_limit, void):
    for fronts in (0, 1):
        found = measurements(rows, "flat", fronts=fronts, pages=1)
        for beside, name, limit in (("gen_pool_best", "gen_pool's best", gen_pool_limit),
                                    ("buddy", "__get_free_page", buddy_limit)):
            at = worst(found, "core", beside)
            table.most("2", f"{machine}: 1 page {FRONTS[fronts]}, worst state, beside "
                       f"{name}", ratio_of(at, "core", beside), limit, void=void)
    unit = "ns" if machine == "UML" else "instructions"
    found = measurements(rows, "flat", pages=1)
    for fronts in (0, 1):
        figures = [at["core"] for at in found if at.what["fronts"] == fronts]
        if figures:
            table.say("2", f"{machine}: 1 page {FRONTS[fronts]}, best to worst state, {unit}",
                      f"{min(figures):.1f} to {max(figures):.1f}")


def judge_api(table, machine, rows, limit, void):
    found = measurements(rows, "api")
    at = found[0] if found else None
    for client in ("shared", "persistent"):
        table.most("3", f"{machine}: client API, {client}, pages not zeroed, beside "
                   "__get_free_page", ratio_of(at, "keeping_" + client, "buddy"), limit,
                   void=void)
    if machine != "UML":
        return
    for client in ("shared", "persistent"):
        more = at and (at["zeroing_" + client] - at["keeping_" + client]) / at["clear_page"]
        table.most("3", f"{machine}: client API, {client}, what zeroing adds, beside "
                   "clear_page", more, 1.1)


def judge_hypercalls(table, rows):
    """Of VTL0 clients: at most 510 pages a call, and none in the steady state."""
    for row in select(rows, bench="hypercalls"):
        most = -(-row["pages"] // 510)
        for way, what in (("open", "to open"), ("close", "to close")):
            table.most("VTL0", f"hypercalls {what} a buffer of {row['pages']} pages",
                       row[way] / row["pairs"], most, unit="")
    for row in select(rows, bench="steady"):
        table.most("VTL0", f"hypercalls of {row['pairs']:,} pairs of {row['pages']} pages, "
                   f"{row['stock']} kept open", row["calls"], 0, unit="")


def judge_servicing(table, rows):
    """What saving and restoring takes: at most so long, and by how many runs."""
    found = {row["runs"]: row for row in select(rows, bench="servicing")}
    few, many = found.get(100000), found.get(1000000)
    for what, limit, ms in (
            ("saving", 5, lambda row: row["save_ns"] / 1e6),
            ("restoring, beyond creating a manager", 8,
             lambda row: row["restore_ns"] / 1e6),
            ("restoring and retrieving", 20,
             lambda row: (row["restore_ns"] + row["retrieve_ns"]) / 1e6)):
        table.most("servicing", f"UML: {what}, 100,000 runs, 4 GiB",
                   few and ms(few), limit, unit=" ms")
        table.most("servicing", f"UML: {what}, 1,000,000 runs, 16 GiB, beside 100,000",
                   ms(many) / ms(few) if few and many else None, 13)
    for row, gib in ((few, 4), (many, 16)):
        if row:
            table.say("servicing", f"UML: creating a manager with nothing to restore, {gib} GiB, "
                      "ms", f"{row['empty_ns'] / 1e6:.2f}")


def judge_regions(table, machine, rows, limit, void):
    """What one change of the region map takes, by how much there is that stays."""
    found = {at.what["subs"]: at for at in measurements(rows, "regions")}
    few, some, many = (found.get(subs) for subs in (10, 1000, 100000))
    for name, what in (("add_remove", "a sub-mapping added and removed"),
                       ("disable_enable", "a region of one disabled and enabled"),
                       ("overlay", "a region of one hidden and shown again")):
        for subs, at in ((10, few), (1000, some), (100000, many)):
            if at:
                table.say("regions", f"{machine}: {what}, 4 targets, {subs:,} sub-mappings present, "
                          "ns", f"{at[name]:,.0f}")
        table.most("regions", f"{machine}: {what}, with 100,000 present beside 10",
                   many[name] / few[name] if few and many else None, limit, void=void)


def judge_direct(table, machine, rows, void):
    """A page that is mapped where it is, beside dma_map_single()."""
    found = measurements(rows, "direct", pages=1)
    at = found[0] if found else None
    table.most("stream", f"{machine}: 1 page direct, map and free, beside dma_map_single and "
               "unmap", ratio_of(at, "stream_into", "dma_map_single"), 2, void=void)
    table.most("stream", f"{machine}: the same with an allocation, beside these with kmalloc "
               "and kfree", ratio_of(at, "stream", "dma_map_single_kmalloc"), 1.3, void=void)
    for at in measurements(rows, "crowd"):
        table.say("stream", f"{machine}: 1 page direct, map and free, {at.what['live']} others "
                  "live, instructions", f"{at['stream_into']:,.1f}")
    for at in measurements(rows, "split"):
        table.say("stream", f"{machine}: 2 pages direct, mapped, split, both freed, "
                  "instructions", f"{at['split']:,.1f}")


def judge_bounce(table, machine, rows, void):
    """What a bounce costs beyond its copies and scrubs, beside swiotlb."""
    for size in (4096, 65536):
        for direction in ("to", "from", "both"):
            what = f"{machine}: {size // 1024} KiB bounced, {direction}"
            found = measurements(rows, "bounce", direction=direction, bytes=size)
            moved = select(rows, bench="bounce_bytes", direction=direction, bytes=size)
            if not found or not moved:
                table.most("stream", what, None, 0)
                continue
            at, moved = found[0], moved[0]
            swiotlb = at["swiotlb"] - at["copy"] * moved["swiotlb_copied"] / size
            ours = (at["stream"] - at["copy"] * moved["copied"] / size
                    - at["scrub"] * moved["scrubbed"] / size)
            table.most("stream", f"{what}, overhead, beside swiotlb's {swiotlb:,.0f} "
                       "instructions", ours / swiotlb, 0.5, void=void)
            table.most("stream", f"{what}, bytes copied", moved["copied"],
                       moved["swiotlb_copied"], unit="", digits=0)
            table.most("stream", f"{what}, bytes scrubbed", moved["scrubbed"], size, unit="",
                       digits=0)
            table.say("stream", f"{what}, all instructions, beside swiotlb",
                      f"{at.ratio('stream', 'swiotlb'):.2f}x")
            if size > 4096:
                continue
            table.most("stream", f"{what}, two clients in turn, bytes scrubbed",
                       moved["in_turn_scrubbed"], size, unit="", digits=0)
            table.say("stream", f"{what}, two clients in turn, beside one",
                      f"{at.ratio('in_turn', 'stream'):.2f}x")


def say_bounce_by_clock(table, machine, rows):
    """Printed, not judged: it is an emulator's clock, and its way with copies."""
    for at in measurements(rows, "bounce"):
        table.say("stream", f"{machine}: {at.what['bytes'] // 1024} KiB bounced, "
                  f"{at.what['direction']}, wall clock, beside swiotlb's "
                  f"{at['swiotlb']:,.0f} ns", f"{at.ratio('stream', 'swiotlb'):.2f}x")


def judge_whole(table, machine, rows):
    found = select(rows, bench="whole")
    good = sum(row["ok"] for row in found)
    table.add("8", f"{machine}: each range in one piece after all was freed, of "
              f"{len(found)} histories", f"{good}", f"{len(found)}",
              bool(found) and good == len(found))


def judge_scale(table, machine, rows):
    for at in measurements(rows, "scale"):
        unit = "ns" if machine == "UML" else "instructions"
        for name in ("dma_alloc_coherent", "kmalloc_96", "lock", "clear_page"):
            table.say("", f"{machine}, for scale: {name}, {unit}", f"{at[name]:,.1f}")


def judge_uml(table, data):
    rows = data["uml"]
    judge_flat(table, "UML", rows, 1.25, 8, None)
    judge_core(table, "UML", rows, 0.6, 1.0, None)
    judge_api(table, "UML", rows, 2, None)

    found = measurements(rows, "worst")
    at = found[0] if found else None
    for name, what in (("core", "without fronts"), ("core_with_fronts", "with fronts")):
        table.least("4", f"UML: 8 pages {what} on a checkerboard, 500,000 live, gen_pool "
                    "first fit beside it", ratio_of(at, "gen_pool_first_fit", name), 100000,
                    digits=0)
    found = select(rows, bench="buffers")
    table.most("6", "UML: bytes for a live buffer, beyond its pages' tags",
               found[0]["bytes"] / found[0]["live"] if found else None, 64, unit=" B")
    judge_whole(table, "UML", rows)
    judge_hypercalls(table, rows)
    judge_servicing(table, rows)
    judge_regions(table, "UML", rows, 3, None)
    judge_scale(table, "UML", rows)


def disagreement(rows, others):
    """The most by which two runs differ in a figure that is judged, as a part of it."""
    judged = {"flat": ("core", "near_empty"),
              "replace": ("core", "few"),
              "api": ("keeping_shared", "keeping_persistent", "buddy"),
              "direct": ("stream_into", "stream", "dma_map_single"),
              "regions": ("add_remove", "disable_enable", "overlay")}
    most = 0
    for bench, subjects in judged.items():
        for one, other in zip(measurements(rows, bench), measurements(others, bench)):
            names = subjects
            if bench == "flat" and one.what["pages"] == 1:
                names += ("gen_pool_best", "buddy")
            most = max([most] + [abs(one[name] / other[name] - 1) for name in names])
    return most


def judge_icount(table, data):
    rows, others = data["icount-1"], data["icount-2"]
    differ = disagreement(rows, others)
    void = "void" if differ > 0.01 else None
    table.add("1-3", "icount: two boots differ by at most", f"{differ:.2%}", "<= 1.00%",
              void or True)
    judge_flat(table, "icount", rows, 1.1, 1.5, void)
    judge_core(table, "icount", rows, 1.05, 0.6, void)
    judge_api(table, "icount", rows, 1.2, void)
    judge_direct(table, "icount", rows, void)
    judge_bounce(table, "icount", data["icount-3"], void)
    judge_regions(table, "icount", rows, 1.5, void)
    judge_whole(table, "icount", rows)
    judge_scale(table, "icount", rows)


def judge_two_cpus(table, machine, rows):
    """Void, not failed, on a machine whose CPUs don't scale by themselves."""
    void = None if machine_scales(rows) else "void, not failed"
    table.least("5", f"{machine}: a private loop, for control",
                scaling(rows, work="private", cpus=2), 1.9, void=void)
    for work in ("pairs", "bursts"):
        for pages in (1, 8):
            table.least("5", f"{machine}: {work} of {of(pages)}, each CPU its own",
                        scaling(rows, work=work, pages=pages, cpus=2), 1.7, void=void)
    for pages in (1, 8, 512):
        table.least("5", f"{machine}: {of(pages)}, one CPU allocates and one frees",
                    scaling(rows, work="cross", pages=pages, cpus=2), 0.45, void=void)
    for work in ("pairs", "bursts"):
        table.least("5", f"{machine}: {work} of 512 pages, each CPU its own",
                    scaling(rows, work=work, pages=512, cpus=2), 0.45, void=void)
    table.say("5", f"{machine}: a bare contended spinlock",
              f"{scaling(rows, work='lock', cpus=2) or 0:.2f}x")


def judge_smp(table, data):
    say_bounce_by_clock(table, "1 virtual CPU", data["smp-1"])
    judge_two_cpus(table, "2 virtual CPUs", data["smp-2"])
    rows, machine = data["smp-8"], "8 virtual CPUs"
    for work in ("pairs", "bursts"):
        for pages in (1, 8):
            table.least("5", f"{machine}: {work} of {of(pages)}, each CPU its own",
                        scaling(rows, work=work, pages=pages, cpus=8), 1.5)
    lock = scaling(rows, work="lock", cpus=8)
    for work in ("pairs", "bursts"):
        scaled = scaling(rows, work=work, pages=512, cpus=8)
        table.least("5", f"{machine}: {work} of 512 pages, beside a bare contended "
                    f"spinlock's {lock or 0:.2f}x", scaled / lock if scaled and lock else None,
                    0.8)


def judge_threads(table, data):
    rows = data["threads"]
    for fronts in (0, 1):
        figures = [at["core"] for at in measurements(rows, "flat", fronts=fronts, pages=1)]
        if figures:
            table.say("2", f"user space: 1 page {FRONTS[fronts]}, real locks, best to worst "
                      "state, ns", f"{min(figures):.1f} to {max(figures):.1f}")
    judge_two_cpus(table, "2 threads", rows)

    for row in select(rows, bench="metadata"):
        fixed = row["ranges"] * 4096 + row["cpus"] * 512
        table.most("6", f"bytes for {row['pages']:,} pages in {row['ranges']} ranges, "
                   f"{row['cpus']} CPUs, beyond 16 a page", row["bytes"] - 16 * row["pages"],
                   fixed, unit="", digits=0)
    found = select(rows, bench="parked")
    table.most("6", "pages parked, part of the pool, worst",
               max((row["max"] / row["pages"] for row in found), default=None), 1 / 64,
               unit="", digits=4)
    table.add("6", "pages parked are counted as free and handed out before an allocation "
              f"fails, of {len(found)} pools",
              str(sum(row["free"] == row["taken"] == row["pages"] for row in found)),
              str(len(found)),
              bool(found) and all(row["free"] == row["taken"] == row["pages"]
                                  for row in found))
    judge_whole(table, "user space", rows)


def judge_fill(table, data):
    core = {row["seed"]: row for row in select(data["threads"], bench="fill")}
    peer = {row["seed"]: row for row in select(data["uml"], bench="fill")}
    same = (len(core) == 100 and core.keys() == peer.keys()
            and all(core[seed]["trace"] == peer[seed]["trace"] for seed in core))
    if not same:
        table.add("7", "utilisation: the same requests for both", "no", "yes", "void")
        return
    percent = 100 / 16384
    mean = {name: statistics.mean(row["pages"] for row in rows.values()) * percent
            for name, rows in (("core", core), ("peer", peer))}
    table.least("7", "fill at first failure, mean of 100 seeds; gen_pool best fit's is "
                f"{mean['peer']:.2f}%", mean["core"], mean["peer"] - 0.3, unit="%")
    table.most("7", "fill at first failure, most that a seed is worse, points",
               max(peer[seed]["pages"] - core[seed]["pages"] for seed in core) * percent, 3,
               unit="")


def read(folder, name):
    with open(os.path.join(folder, name + ".log"), encoding="utf-8",
              errors="replace") as log:
        return parse(log.read())


def main():
    if sys.argv[1] == "--scales":
        sys.exit(not machine_scales(read(*sys.argv[2:])))
    folder, *parts = sys.argv[1:]
    data = {name: read(folder, name) for part in parts for name in LOGS[part]}
    table = Table()
    for name, rows in data.items():
        for row in select(rows, bench="error"):
            table.add("", f"{name}: {row['text']}", "error", "", False)
    if "uml" in parts:
        judge_uml(table, data)
        with open(os.path.join(folder, "cost.svg"), "w", encoding="utf-8") as out:
            out.write(picture.draw(data["uml"]))
    if "icount" in parts:
        judge_icount(table, data)
    if "threads" in parts:
        judge_threads(table, data)
    if "smp" in parts:
        judge_smp(table, data)
    if "threads" in parts and "uml" in parts:
        judge_fill(table, data)
    table.lines.sort(key=lambda line: line["target"] or "9")
    table.show()
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as out:
        json.dump({"table": table.lines, "data": data}, out, indent=1)
    failed = table.failed()
    print(f"{len(failed)} of {sum(line['met'] != '-' for line in table.lines)} targets "
          "are missed or void" if failed else "every target is met")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
