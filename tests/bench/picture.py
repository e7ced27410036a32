# SPDX-License-Identifier: GPL-2.0-only
"""Draws what a hot pair costs against how much is allocated, as SVG."""

import math

WIDTH, HEIGHT = 1080, 620
TOP, BOTTOM = 90, 440
PANELS = ((80, 500), (600, 1020))
LIVE = (1e2, 1e6)
NS = (1, 1e8)

# name, colour, dashes
STYLES = {
    "core without fronts": ("#d55e00", ""),
    "core with fronts": ("#e69f00", ""),
    "gen_pool, first fit": ("#0072b2", ""),
    "gen_pool, best fit": ("#56b4e9", "8 5"),
    "buddy allocator": ("#009e73", ""),
    "dma_alloc_coherent, 1 page": ("#cc79a7", "6 4"),
    "kmalloc(96)": ("#555555", "6 4"),
    "an empty lock pair": ("#999999", "2 4"),
}


def powers(limits):
    return [10 ** n for n in range(round(math.log10(limits[0])),
                                   round(math.log10(limits[1])) + 1)]


def scale(number, limits, start, end):
    part = math.log(number / limits[0]) / math.log(limits[1] / limits[0])
    return start + part * (end - start)


def time_text(nanoseconds):
    for unit, name in ((1e6, "ms"), (1e3, "µs"), (1, "ns")):
        if nanoseconds >= unit:
            return f"{nanoseconds / unit:.0f} {name}"
    return ""


def text(x, y, words, anchor="middle", size=13, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'font-size="{size}" {more}>{words}</text>')


def line(x1, y1, x2, y2, colour, dashes="", width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>')


def axes(left, right, title):
    parts = [text((left + right) / 2, TOP - 18, title, size=15),
             text((left + right) / 2, BOTTOM + 44, "live allocations"),
             text(left - 58, (TOP + BOTTOM) / 2, "time of a hot pair",
                  more=f'transform="rotate(-90 {left - 58} {(TOP + BOTTOM) / 2})"')]
    for live in powers(LIVE):
        x = scale(live, LIVE, left, right)
        parts += [line(x, TOP, x, BOTTOM, "#e4e4e4"),
                  text(x, BOTTOM + 20, f"{live:,}", size=12)]
    for nanoseconds in powers(NS):
        y = scale(nanoseconds, NS, BOTTOM, TOP)
        parts += [line(left, y, right, y, "#e4e4e4"),
                  text(left - 8, y + 4, time_text(nanoseconds), "end", size=12)]
    parts += [line(left, BOTTOM, right, BOTTOM, "#333333"),
              line(left, TOP, left, BOTTOM, "#333333")]
    return parts


def curve(left, right, name, points):
    colour, dashes = STYLES[name]
    places = [(scale(live, LIVE, left, right), scale(ns, NS, BOTTOM, TOP))
              for live, ns in sorted(points)]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{way}" fill="none" stroke="{colour}" '
             f'stroke-width="2" stroke-dasharray="{dashes}"/>']
    if len(places) > 2:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                  for x, y in places]
    return parts


def legend():
    parts = []
    for number, (name, (colour, dashes)) in enumerate(STYLES.items()):
        x = 90 + number % 4 * 245
        y = BOTTOM + 90 + number // 4 * 28
        parts += [line(x, y, x + 34, y, colour, dashes, 2.5),
                  text(x + 42, y + 4, name, "start")]
    return parts


def series(rows, shape, pages):
    """Of each name, the points: live, nanoseconds."""
    found = {name: [] for name in STYLES}

    def add(name, row):
        found[name].append((row["live"], row["min_ps"] / 1000))

    names = {("flat", "core", 0): "core without fronts",
             ("flat", "core", 1): "core with fronts",
             ("flat", "buddy", 0): "buddy allocator",
             ("curve", "gen_pool_first_fit", None): "gen_pool, first fit",
             ("curve", "gen_pool_best_fit", None): "gen_pool, best fit"}
    for row in rows:
        if row.get("shape") == shape and row.get("pages") == pages:
            name = names.get((row["bench"], row.get("subject"), row.get("fronts")))
            if name:
                add(name, row)
    names = {"dma_alloc_coherent": "dma_alloc_coherent, 1 page",
             "kmalloc_96": "kmalloc(96)", "lock": "an empty lock pair"}
    for row in rows:
        if row["bench"] == "scale" and row["subject"] in names:
            for live in LIVE:
                add(names[row["subject"]], {"live": live, "min_ps": row["min_ps"]})
    return found


def draw(rows):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
             f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" fill="#222222">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
             text(WIDTH / 2, 34, "Allocate, then free at once: user-mode kernel, "
                  "native, one CPU", size=18)]
    for (left, right), title, shape, pages in (
            (PANELS[0], "1 page; live pages side by side in a pool of 1 M",
             "dense", 1),
            (PANELS[1], "8 pages; every other page live, pool 4 times as large",
             "checkerboard", 8)):
        parts += axes(left, right, title)
        for name, points in series(rows, shape, pages).items():
            if points:
                parts += curve(left, right, name, points)
    parts += legend() + ["</svg>"]
    return "\n".join(parts) + "\n"
