"""A timeline as one HTML file that needs nothing else."""

from __future__ import annotations

import html
import json
from typing import Any

from enactive.runtime.timeline import Timeline, TracedCall, TracedDecision
from enactive.runtime.trace_text import brief, cut

_STYLE = """
:root{--ink:#1b1f24;--soft:#667;--line:#d8dce2;--calm:#f6f7f9;--call:#3b6fb6;--think:#9a7bc0;
--bad:#b4462e;--good:#2e7d4f}
@media (prefers-color-scheme:dark){:root{--ink:#e4e6ea;--soft:#99a;--line:#3a3f47;--calm:#20242a}
body{background:#15181c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:1100px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.3rem;margin-bottom:0}.soft{color:var(--soft)}.bad{color:var(--bad)}
.good{color:var(--good)}
details{border-top:1px solid var(--line);padding:.35rem 0}summary{cursor:pointer;display:grid;
grid-template-columns:3rem 1fr 320px;gap:.8rem;align-items:center}
summary::-webkit-details-marker{display:none}
.what{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bar{position:relative;height:14px;background:var(--calm);border-radius:3px}
.bar i{position:absolute;top:2px;bottom:2px;border-radius:2px;min-width:2px;background:var(--call)}
.bar i.think{background:var(--think)}.bar i.bad{background:var(--bad)}
pre{background:var(--calm);padding:.6rem .8rem;border-radius:4px;white-space:pre-wrap;
overflow-wrap:anywhere;margin:.3rem 0 .6rem 3.8rem;font:13px/1.45 ui-monospace,monospace}
.label{margin-left:3.8rem;font-size:.85rem;color:var(--soft)}
"""


def trace_html(name: str, timeline: Timeline, header: dict[str, Any]) -> str:
    """The page: a row per decision with its time, opened for what it thought, called and got.

    Args:
        name: of the episode.
        timeline: see :func:`enactive.runtime.timeline.timeline`.
        header: of the episode, shown at the end.
    """
    total = max(timeline.seconds, 1e-9)
    rows = "\n".join(_decision(decision, total) for decision in timeline.decisions)
    success = bool(timeline.decisions) and timeline.decisions[-1].success
    ending = "success" if success else (timeline.reason or "was cut off")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>{html.escape(name)}</h1>
<p><b class="{"good" if success else "bad"}">{html.escape(ending)}</b>
<span class="soft"> · {len(timeline.decisions)} decisions · {timeline.seconds:.2f} s</span></p>
<p>{html.escape(timeline.instruction)}</p>
{_block("first seen", timeline.seen)}
{rows}
<details><summary><span></span><span class="soft">header</span><span></span></summary>
<pre>{html.escape(json.dumps(header, indent=2, ensure_ascii=False))}</pre></details>
</body></html>
"""


def _decision(decision: TracedDecision, total: float) -> str:
    bars = [_bar(decision.begun, decision.decided or decision.begun, total, "think")]
    bars += [
        _bar(call.begun, call.begun if call.ended is None else call.ended, total,
             "bad" if call.failure else "")
        for call in decision.calls
    ]  # fmt: skip
    what = ", ".join(f"{c.tool}({_arguments(c)})" for c in decision.calls) or brief(decision.action)
    style = "what bad" if decision.refused or any(c.failure for c in decision.calls) else "what"
    inside = "".join(
        [
            *(_block(f"model, {a.prompt_tokens} tokens read, {a.tokens} written", a.text)
              for a in decision.answers),
            *(_block(kind, content) for kind, content in decision.thoughts),
            _block("action", _pretty(decision.action)),
            *(_call(call) for call in decision.calls),
            _block("seen", decision.seen),
            _block("refused", decision.refused, "bad"),
            _block("events", ", ".join(decision.events)),
        ]
    )  # fmt: skip
    return (
        f'<details><summary><b>{decision.number}</b><span class="{style}">'
        f'{html.escape(cut(what, 300))}</span><span class="bar">{"".join(bars)}</span></summary>'
        f"{inside}</details>"
    )


def _bar(begun: float, ended: float, total: float, style: str) -> str:
    left, width = 100 * begun / total, 100 * max(0.0, ended - begun) / total
    return f'<i class="{style}" style="left:{left:.2f}%;width:{width:.2f}%"></i>'


def _call(call: TracedCall) -> str:
    took = "" if call.ended is None else f", {1e3 * (call.ended - call.begun):.1f} ms"
    label = f"{call.path} {call.tool}({_arguments(call)}){took}"
    parts = [_block("check", call.verdict)]
    if call.failure:
        parts.append(_block(label, call.failure, "bad"))
    elif call.ended is None:
        parts.append(_block(label, "no result in the log: it was cut off here", "bad"))
    else:
        parts.append(_block(label, _pretty(call.value)))
    return "".join(parts)


def _arguments(call: TracedCall) -> str:
    return ", ".join(f"{key}={cut(brief(value), 60)}" for key, value in call.arguments.items())


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _block(label: str, text: str, style: str = "") -> str:
    if not text:
        return ""
    return (
        f'<div class="label">{html.escape(cut(label, 200))}</div>'
        f'<pre class="{style}">{html.escape(text)}</pre>'
    )
