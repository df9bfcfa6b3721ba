#!/usr/bin/env python3
"""Draws what `kernels` measured under the two roofs of the machine.

  cargo run --release -p ondine-tensor --example kernels -- 2 best 4096 q4_0 q8_0 q4_k q6_k bf16 > kernels.md
  roofline.py kernels.md [-o docs/pictures/roofline.svg]

Across: multiply-adds for each byte of weights that is read, which is the number of columns over the bytes a weight
takes. Upwards: multiply-adds a second. The slope is the read probe, the flat roof the int8 probe; both are
medians of what stood beside the samples. Of a format that has a line for interleaved weights that one is drawn. Needs
nothing but Python.
"""
import argparse
import math
import re
import statistics

BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.5, "Q4_1": 5, "Q5_0": 5.5, "Q5_1": 6, "Q2_K": 2.625,
        "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "IQ4_NL": 4.5}
COLOURS = ["#0b6e99", "#c2571a", "#4b7f2b", "#8a3ab9", "#b01e3c", "#6b5b00", "#00796b"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 70, 150, 30, 60


def read(path):
    """({format: [(columns, GMAC/s)]}, read GB/s, int8 GMAC/s, the program's first line)."""
    lines = open(path, encoding="utf-8").read().splitlines()
    header = next(line for line in lines if line.startswith("| format"))
    columns = [int(cell) for cell in header.strip("| ").split("|")[1:]]
    formats, reads, peaks = {}, [], []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        cells[0] = cells[0].upper().removesuffix(" INTERLEAVED")
        if cells[0] not in BITS:
            continue
        points = []
        for n, cell in zip(columns, cells[1:]):
            rate, share = map(float, re.match(r"([\d.]+) \((\d+) %\)", cell).groups())
            if share:
                (reads if n == 1 else peaks).append(rate / share * 100)
            points.append((n, rate / (BITS[cells[0]] / 8) if n == 1 else rate))
        formats[cells[0]] = points
    return formats, statistics.median(reads), statistics.median(peaks), lines[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("-o", default="docs/pictures/roofline.svg")
    args = parser.parse_args()
    formats, memory, peak, first = read(args.table)
    low_x, high_x, low_y, high_y = 0.5, 1200.0, 8.0, 1200.0
    x = lambda v: LEFT + (WIDTH - LEFT - RIGHT) * math.log(v / low_x) / math.log(high_x / low_x)
    y = lambda v: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(v / low_y) / math.log(high_y / low_y)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           '<title>Matrix products under the roofs of memory and of byte multiplication</title>',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for v in (1, 10, 100, 1000):
        out.append(f'<line x1="{x(v):.1f}" y1="{TOP}" x2="{x(v):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>'
                   f'<text x="{x(v):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#555">{v}</text>')
    for v in (10, 100, 1000):
        out.append(f'<line x1="{LEFT}" y1="{y(v):.1f}" x2="{WIDTH - RIGHT}" y2="{y(v):.1f}" stroke="#e4e4e4"/>'
                   f'<text x="{LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end" fill="#555">{v}</text>')
    ridge = peak / memory
    out.append(f'<polyline fill="none" stroke="#222" stroke-width="2" points="{x(low_x):.1f},{y(max(low_y, memory * low_x)):.1f} '
               f'{x(ridge):.1f},{y(peak):.1f} {x(high_x):.1f},{y(peak):.1f}"/>')
    out.append(f'<text x="{x(ridge) + 6:.1f}" y="{y(peak) - 7:.1f}" fill="#222">{peak:.0f} GMAC/s: byte products out of registers</text>')
    out.append(f'<text x="{x(1.1):.1f}" y="{y(memory * 1.1) - 14:.1f}" fill="#222" transform="rotate(-{math.degrees(math.atan2(y(memory) - y(memory * 4), x(4) - x(1))):.0f} {x(1.1):.1f} {y(memory * 1.1) - 14:.1f})">'
               f'{memory:.0f} GB/s: reading memory</text>')
    for i, (name, points) in enumerate(formats.items()):
        colour, a_byte = COLOURS[i % len(COLOURS)], 8 / BITS[name.upper()]
        places = [(x(n * a_byte), y(rate)) for n, rate in points]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{line}"/>')
        out += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"><title>{name}, {n} columns: {rate:.0f} GMAC/s</title></circle>'
                for (px, py), (n, rate) in zip(places, points)]
        out.append(f'<text x="{WIDTH - RIGHT + 16}" y="{TOP + 20 + 20 * i}" fill="{colour}" font-weight="bold">{name}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">multiply-adds for each byte of weights (columns over bytes a weight)</text>')
    out.append(f'<text x="18" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2})">GMAC/s</text>')
    out.append("</svg>")
    open(args.o, "w", encoding="utf-8").write("\n".join(out) + "\n")
    print(f"{args.o}: {len(formats)} formats, read {memory:.1f} GB/s, int8 {peak:.0f} GMAC/s ({first.split(';')[0]})")


if __name__ == "__main__":
    main()
