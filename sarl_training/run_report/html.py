"""The few pieces of HTML that a report is made of. Text is escaped here, nowhere else."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2329;background:#fff;
max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}
h2{font-size:1.1rem;margin:2rem 0 .3rem;border-top:1px solid #dde2e7;padding-top:1rem}
p{margin:.3rem 0 .6rem;max-width:95ch;color:#444c54} svg,img{max-width:100%;height:auto}
table{border-collapse:collapse;font-size:13px} td,th{padding:.15rem 1rem .15rem 0;text-align:left;vertical-align:top}
th{font-weight:600;color:#444c54} td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.verdict{padding:.6rem .9rem;border-left:6px solid;background:#f5f7f9;margin:.8rem 0;color:#1d2329}
.good{border-color:#3b8f5a}.warn{border-color:#c28a1a}.bad{border-color:#c03030}
.cards{display:flex;flex-wrap:wrap;gap:.6rem;margin:.8rem 0}
.card{background:#f5f7f9;padding:.45rem .8rem;border-radius:6px}.card b{display:block;font-size:1.15rem}
.card span{font-size:12px;color:#5b6770} details summary{cursor:pointer;color:#2f6da8}
.small{font-size:12px;color:#5b6770}
"""
_TONE = {"healthy": "good", "inside": "good", "collapsed": "bad"}


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document that loads nothing."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(title: str, line: str) -> str:
    """The top of the page."""
    return f'<h1>{escape(title)}</h1><p class="small">{escape(line)}</p>'


def verdict(word: str, reason: str) -> str:
    """The box that is read first."""
    return f'<div class="verdict {_TONE.get(word, "warn")}"><b>{escape(word.capitalize())}.</b> {escape(reason)}.</div>'


def cards(values: Iterable[tuple[str, str]]) -> str:
    """Numbers with their names."""
    shown = "".join(f'<div class="card"><b>{escape(v)}</b><span>{escape(n)}</span></div>' for n, v in values)
    return f'<div class="cards">{shown}</div>'


def section(title: str, text: str, *content: str) -> str:
    """A headed part; nothing when it has no content."""
    shown = "\n".join(part for part in content if part)
    return f"<h2>{escape(title)}</h2><p>{escape(text)}</p>\n{shown}" if shown else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing when it has no rows."""
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    top = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>"
    return f"<table>{top}{''.join(lines)}</table>" if lines else ""


def note(text: str) -> str:
    """A line in small print."""
    return f'<p class="small">{escape(text)}</p>'


def folded(title: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>" if content else ""


def picture(png: bytes, alternative: str) -> str:
    """A PNG inside the page."""
    return f'<img alt="{escape(alternative)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
