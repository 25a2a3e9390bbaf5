"""The report as one HTML file: no script, no font, no picture from elsewhere; every word from the wire is escaped by the template engine."""
from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from dpi import __version__
from dpi.errors import UserError
from dpi.flow.figures import CONFIDENCES, Figures, Share
from dpi.reports.completeness import sentences, verdict
from dpi.reports.findings import findings
from dpi.reports.html import chart
from dpi.reports.language import Language
from dpi.reports.terminal import carriers, clean, delay_lines, detected, label, named

#: Colours of the applications in the timeline, in order, then the rest.
COLOURS = ("#2563a8", "#e08a2c", "#3d9a6b", "#b8485a", "#7a5fb0", "#2b9fb3", "#c9a227", "#8a6b52")
REST = "#c3c9d1"
UNKNOWN = "#7d8896"
#: From proof to guess.
TRUST = {"payload": "#14532d", "name": "#2f855a", "dns": "#5aa97d", "fingerprint": "#2b8fa8", "network": "#6ba7d6", "port": "#e3b04b",
         "guess": "#e58a5a", "": "#c3c9d1"}


def _compiled() -> Any:
    """Where the compiled page is kept between runs, beside the kernels: compiling it takes longer than filling it. None where nothing can be kept."""
    import jinja2

    from dpi.cache import cache_directory

    folder = cache_directory() / "pages"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return jinja2.FileSystemBytecodeCache(str(folder), "%s.cache") if os.access(folder, os.W_OK) else None


def templates() -> Any:
    """The template engine over this folder: everything is escaped, and a name that is not there is an error."""
    import jinja2

    made = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=jinja2.StrictUndefined, bytecode_cache=_compiled(), auto_reload=False)
    made.filters["clean"] = clean
    return made


def template() -> Any:
    """The page's template."""
    return templates().get_template("page.html.j2")


def render(figures: Figures, language: str = "en", now: float | None = None, page: Any = None) -> str:
    """The whole page. now: the time of making, seconds since the epoch; page: the `template`, where it has been looked for already."""
    say = Language(language)
    text: str = (page or template()).render(
        f=figures, say=say, lang="zh-CN" if language == "zh" else "en", made=int((time.time() if now is None else now) * 1e6), version=__version__,
        **_views(figures, say))
    return text


def _views(f: Figures, say: Language) -> dict[str, Any]:
    """What the template shows and would be clumsy to work out there."""
    shown = {name: COLOURS[k] for k, name in enumerate(f.timeline.names) if name is not None and k < len(COLOURS)}
    if "" in shown:
        shown[""] = UNKNOWN
    names = [say("label.rest") if name is None else label(Share(name, named=False), say) for name in f.timeline.names]
    colours = [REST if name is None else shown.get(name, REST) for name in f.timeline.names]
    every = sum(max(0, share.bytes) for share in f.confidences) or 1
    trust = [{"word": word, "colour": TRUST.get(word, REST), "share": share.bytes / every, "flows": share.flows}
             for word in CONFIDENCES for share in f.confidences if share.name == word]
    return {
        "findings": findings(f, say), "detected": detected(f, say), "verdict": verdict(f, say), "coverage": sentences(f, say),
        "named": named(f), "label": lambda share: label(share, say), "delays": delay_lines(f), "trust": trust,
        "colour": lambda share: shown.get(share.name, REST), "mix": _mix, "trust_colours": TRUST,
        "timeline": chart.area(f.timeline, colours, names, say), "legend": list(zip(names, colours, (sum(row) for row in f.timeline.series), strict=True)),
        "histogram": chart.histogram, "carriers": carriers(f), "read": max(1, f.read_packets), "ratio": lambda part, whole: part / whole if whole else 0.0,
    }


def _mix(share: Share) -> list[tuple[str, float, str]]:
    """(confidence, share of the line's bytes, colour), from proof to guess."""
    total = sum(share.confidence.values()) or 1
    return [(word, share.confidence[word] / total, TRUST[word]) for word in CONFIDENCES if share.confidence.get(word)]


def write(figures: Figures, path: str | Path, language: str = "en", page: Any = None) -> Path:
    """Write the page beside its final name, then move it there: whole or not at all. UserError where that cannot be."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(render(figures, language, page=page), encoding="utf-8", errors="replace")
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"the report cannot be written: {error.strerror or error}", str(target), "give another path with --report") from error
    return target
