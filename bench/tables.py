# SPDX-License-Identifier: BSD-3-Clause
"""The results as Markdown: what bench/results/report.md is, and docs/performance.md quotes."""

import json


def figure(value):
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def groups(medians):
    """{job: {peer: figure}}; figures without a job are one group."""
    found = {}
    for what, figure in medians.items():
        peer, _, job = what.partition("/")
        found.setdefault(job, {})[peer] = figure
    return found


def table(said):
    """A row for each peer and a column for each job; in brackets: times the reference."""
    by_job, reference = groups(said["medians"]), said["reference"]
    rows = list(dict.fromkeys(peer for group in by_job.values() for peer in group))
    jobs = list(by_job)
    lines = ["| | " + " | ".join(job or said["unit"] for job in jobs) + " |",
             "|---" * (len(jobs) + 1) + "|"]
    for row in rows:
        cells = []
        for job in jobs:
            group = by_job[job]
            cell = figure(group[row]) if row in group else ""
            if cell and reference in group and row != reference:
                cell += f" ({group[row] / group[reference]:.2f})"
            cells.append(cell)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def section(said, folder):
    host, picture = said["machine"], f"{said['name']}.svg"
    ratio = f" In brackets: times {said['reference']}." if said["reference"] else ""
    guest = "" if host["accelerator"] == "none" else (
        f" Guest: {said['guest']['release']} under {host['qemu']}, {host['accelerator']}.")
    return (f"## {said['name']}: {said['unit']}\n\n"
            f"`{said['command']}`, {said['date']}, median of {said['rounds']}.{guest} Host: "
            f"{host['cpus']} × {host['cpu']}, Linux {host['kernel']}, load {host['load']:.1f}."
            f"{ratio}\n\n{table(said)}\n"
            + (f"\n![]({picture})\n" if (folder / picture).exists() else ""))


def report(folder):
    """All measurements of a folder, newest figures, as one document."""
    parts = [section(json.loads(path.read_text()), folder)
             for path in sorted(folder.glob("*.json"))]
    (folder / "report.md").write_text("# Measured by bench/run\n\n" + "\n".join(parts))
