# SPDX-License-Identifier: BSD-3-Clause
"""Pictures by gnuplot: a group for each job, a bar for each peer, as multiples of a reference."""

import shutil
import subprocess

import tables
from vmtool import report

COLOURS = ("#1b6ca8", "#4fa3d9", "#d98c2b", "#7a9a3a", "#8f5aa8", "#b0483f", "#777777", "#a8d1ee",
           "#ecc888", "#123f63", "#c9a0d6", "#3a8a80")
MOST = 3.0  # one that is far off is cut, not the others squeezed
BAR_PX, LEAST_PX, MOST_PX, HEIGHT_PX = 46, 640, 1600, 520


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


def script(title, unit, groups, reference, svg):
    """
    groups: {job: {peer: figure}}. Bars are figures over the reference's of the same job (over the
    largest where it has none), so that jobs of all sizes fit one picture; the figures are written
    above them.
    """
    peers = list(dict.fromkeys(peer for group in groups.values() for peer in group))
    ticks, blocks, x = [], {peer: [] for peer in peers}, 0
    for job, group in groups.items():
        base = group.get(reference) or max(group.values()) or 1
        ticks.append(f"{_quoted(job)} {x + (len(group) - 1) / 2:g}")
        for peer, figure in group.items():
            blocks[peer].append(f"{x} {min(figure / base, MOST):.4f} \"{tables.figure(figure)}\"")
            x += 1
        x += 1
    most = max(float(row.split()[1]) for rows in blocks.values() for row in rows) or 1
    width = min(MOST_PX, max(LEAST_PX, BAR_PX * x))
    of = f"times {reference}" if reference else "of the largest"
    cut = f", cut at {MOST:g}" if most == MOST else ""
    lines = [f"set terminal svg size {width},{HEIGHT_PX} dynamic font 'sans-serif,12' "
             "background rgb 'white'", f"set output {_quoted(str(svg))}",
             f"set label 1 {_quoted(f'{unit}; {of}{cut}')} at graph 0.5,1.03 center noenhanced",
             f"set title {_quoted(title)} offset 0,1.2 noenhanced", "set tmargin 4",
             f"set xrange [-1:{x}]", f"set yrange [0:{most * 1.25:.2f}]",
             "set boxwidth 0.9", "set style fill solid", "set border 3",
             f"set xtics nomirror rotate by -20 noenhanced ({', '.join(ticks)})",
             "set ytics nomirror", "set grid ytics",
             "set key below noenhanced"]
    for n, peer in enumerate(peers):
        lines.append("\n".join([f"$bars{n} << end", *blocks[peer], "end"]))
    plots = [f"$bars{n} using 1:2 with boxes lc rgb '{COLOURS[n % len(COLOURS)]}' "
             f"title {_quoted(peer)}" for n, peer in enumerate(peers)]
    plots += [f"$bars{n} using 1:2:3 with labels rotate left offset 0,0.4 font ',10' notitle"
              for n in range(len(peers))]
    if reference:
        plots.append("1 with lines dashtype 2 lc rgb '#999999' notitle")
    lines.append("plot " + ", \\\n     ".join(plots))
    return "\n".join(lines) + "\n"


def draw(title, unit, groups, reference, path):
    """The script as path.gp, what gnuplot makes of it as path.svg; False: there is no gnuplot."""
    text = script(title, unit, groups, reference, path.with_suffix(".svg"))
    path.with_suffix(".gp").write_text(text)
    path.with_suffix(".svg").unlink(missing_ok=True)
    if not shutil.which("gnuplot"):
        report.progress(f"no picture for {path.name}: gnuplot is not installed (gnuplot-nox)")
        return False
    report.run(["gnuplot", path.with_suffix(".gp")], f"the picture of {path.name}")
    return True
