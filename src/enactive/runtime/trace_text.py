"""A timeline for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from enactive.runtime.timeline import Timeline, TracedCall, TracedDecision


def trace_tree(name: str, timeline: Timeline, *, width: int = 160) -> Tree:
    """The timeline as a tree: a branch per decision, under it thoughts, answers and calls.

    Args:
        name: of the episode.
        timeline: see :func:`enactive.runtime.timeline.timeline`.
        width: characters after which values are cut; 0 shows everything.
    """
    head = Text.assemble((name, "bold"), f"  {timeline.seconds:.2f} s  ", _ending(timeline))
    tree = Tree(head, guide_style="dim")
    if timeline.instruction:
        tree.add(Text.assemble(("told  ", "dim"), cut(timeline.instruction, width)))
    if timeline.seen:
        tree.add(Text.assemble(("sees  ", "dim"), cut(timeline.seen, width)))
    for decision in timeline.decisions:
        _decision(tree, decision, width)
    return tree


def _ending(timeline: Timeline) -> tuple[str, str]:
    if not timeline.reason:
        return "was cut off", "yellow"
    success = bool(timeline.decisions) and timeline.decisions[-1].success
    return ("success" if success else timeline.reason), "green" if success else "red"


def _decision(tree: Tree, decision: TracedDecision, width: int) -> None:
    took = (decision.decided or decision.begun) - decision.begun
    head = Text.assemble((f"{decision.number}", "bold cyan"), f"  decided in {1e3 * took:.0f} ms")
    if decision.events:
        head.append(f"  [{', '.join(decision.events)}]", "magenta")
    if decision.reward:
        head.append(f"  reward {decision.reward:g}", "green")
    branch = tree.add(head)
    for answer in decision.answers:
        told = f"{answer.prompt_tokens} tokens read, {answer.tokens} written"
        branch.add(Text.assemble(("model  ", "dim"), cut(answer.text, width), (f"  {told}", "dim")))
    for kind, content in decision.thoughts:
        branch.add(Text.assemble((f"{kind}  ", "dim"), cut(content, width)))
    if not decision.calls:
        branch.add(Text.assemble(("does  ", "dim"), cut(brief(decision.action), width)))
    for call in decision.calls:
        branch.add(_call(call, width))
    if decision.seen:
        branch.add(Text.assemble(("sees  ", "dim"), cut(decision.seen, width)))
    if decision.refused:
        branch.add(Text(cut(f"refused: {decision.refused}", width), "red"))


def _call(call: TracedCall, width: int) -> Text:
    arguments = ", ".join(f"{key}={brief(value)}" for key, value in call.arguments.items())
    line = Text.assemble((f"{call.path}  ", "dim"), (call.tool, "bold"))
    line.append(cut(f"({arguments})", width))
    if call.verdict:
        line.append(f"  {cut(call.verdict, width)}", "yellow")
    if call.ended is None:
        line.append("  no result in the log", "yellow")
    elif call.failure:
        line.append(f"  {cut(call.failure, width)}", "red")
    else:
        line.append("  -> ", "dim").append(cut(brief(call.value), width))
        line.append(f"  {1e3 * (call.ended - call.begun):.1f} ms", "dim")
    return line


def brief(value: Any) -> str:
    """A JSON value on one line; a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def cut(text: str, width: int) -> str:
    """``text`` on one line, at most ``width`` characters long; 0 leaves its length."""
    line = " ".join(text.split())
    return line if not width or len(line) <= width else line[: width - 1] + "…"
