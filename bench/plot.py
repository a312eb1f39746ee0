# SPDX-License-Identifier: BSD-3-Clause
"""Bars as SVG: a group for each job, a bar for each peer, as multiples of a reference."""

from xml.sax.saxutils import escape

COLOURS = ("#1b6ca8", "#4fa3d9", "#d98c2b", "#7a9a3a", "#8f5aa8", "#b0483f", "#777777", "#a8d1ee")
LEFT, BAR, GAP, LINE = 190, 16, 22, 18
WIDTH, SCALE_END = 900, 760


def _text(x, y, text, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(text)}</text>')


def bars(title, unit, groups, reference=None):
    """
    groups: {job: {peer: figure}}. Lengths are figures over the reference's of the same job (over
    the largest where it has none), so that jobs of all sizes fit one picture; the figures are
    written beside the bars.
    """
    peers = list(dict.fromkeys(peer for group in groups.values() for peer in group))
    out, y = [_text(LEFT, 24, title, size=15, weight="bold"), _text(LEFT, 42, unit)], 58
    ratios = {}
    for job, group in groups.items():
        base = group.get(reference) or max(group.values())
        ratios[job] = {peer: figure / base for peer, figure in group.items()}
    # One that is far off is cut, not the others squeezed.
    most = min(3.0, max(max(r.values()) for r in ratios.values()))
    top = y
    for job, group in groups.items():
        out.append(_text(LEFT - 8, y + BAR * len(group) / 2 + 4, job, "end", weight="bold"))
        for peer, figure in group.items():
            ratio = ratios[job][peer]
            width = min(ratio, most) / most * (SCALE_END - LEFT)
            colour = COLOURS[peers.index(peer) % len(COLOURS)]
            out.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
                       f'fill="{colour}"/>')
            cut = " (cut)" if ratio > most else ""
            out.append(_text(LEFT + width + 5, y + BAR - 5,
                             f"{peer}: {figure:,.0f}  ×{ratio:.2f}{cut}", size=11))
            y += BAR
        y += GAP
    if reference:
        x = LEFT + (SCALE_END - LEFT) / most
        out.insert(2, f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{y - GAP + 4}" '
                      'stroke="#999" stroke-dasharray="3,3"/>')
    height = y + LINE
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 160}" height="{height}" '
            f'font-family="sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(out) + "\n</svg>\n")
