"""The verdict page: Markdown for repositories and documentation, HTML as one file to look at."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from enactive.evaluation.claims import contents
from enactive.evaluation.claims.charts import standalone
from enactive.evaluation.claims.claim import Figure, slug
from enactive.evaluation.claims.contents import Table
from enactive.evaluation.claims.results import Result, as_json, to_text
from enactive.evaluation.claims.verdict import Ruling
from enactive.evaluation.files import write_atomically
from enactive.evaluation.report.html import section, table
from enactive.evaluation.report.write import ONLY_THIS_FILE

HOW = (
    "Intervals are Student's t over seeds: each seed trains and evaluates anew, and is one sample. "
    "The claim is supported only if every primary hypothesis is."
)
POOLED = (
    "Episodes of all seeds together. The interval says how these very policies would do on other "
    "episodes; nothing about other seeds of training, so no verdict rests on it."
)


def write_pages(result: Result, directory: Path) -> Path:
    """Write ``verdict.html``, ``verdict.md``, ``result.json`` and ``figures/*.svg``.

    Returns:
        The path of the HTML page.
    """
    drawn = contents.figures(result)
    place = directory / "figures"
    shutil.rmtree(place, ignore_errors=True)  # pictures of outcomes that are gone
    for number, figure in enumerate(drawn):
        write_atomically(place / file_name(number, figure), standalone(figure.svg) + "\n")
    write_atomically(directory / "result.json", to_text(as_json(result)))
    write_atomically(directory / "verdict.md", as_markdown(result, drawn))
    path = directory / "verdict.html"
    write_atomically(path, as_html(result, drawn))
    return path


def file_name(number: int, figure: Figure) -> str:
    """The file of a picture, e.g. ``"00-hypotheses.svg"``."""
    return f"{number:02d}-{slug(figure.title)}.svg"


def as_markdown(result: Result, drawn: Sequence[Figure]) -> str:
    """The page as Markdown; pictures lie in ``figures/`` beside it."""
    claim = result.claim
    lines = [f"# {claim.title}", "", f"**{result.headline.capitalize()}.** "]
    lines[-1] += contents.verdict_line(result)
    lines += ["", f"> {claim.statement}", "", f"Source: {claim.source}.".replace("..", "."), ""]
    lines += [f"- {caution}" for caution in result.cautions]
    lines += ["", "## Hypotheses", "", HOW, "", *_picture(0, drawn[0])]
    lines += _markdown_table(contents.hypotheses(result))
    lines += ["", "## Arms", ""]
    lines += [f"- **{arm}**: {what}" for arm, what in claim.arms.items()]
    lines += ["", f"World: {claim.world}", "", f"Budget: {claim.budget}"]
    if claim.scale_note:
        lines += ["", f"Scale: {claim.scale_note}"]
    lines += ["", "## Outcomes", ""]
    for number, figure in enumerate(drawn[1:], start=1):
        lines += _picture(number, figure)
    for name, rows in contents.outcomes(result, "outcomes"):
        lines += [f"**{name}**", "", *_markdown_table(rows), ""]
    pooled = contents.pooled(result)
    if pooled:
        lines += ["### Episodes, pooled", "", POOLED, ""]
        for name, rows in pooled:
            lines += [f"**{name}**", "", *_markdown_table(rows), ""]
    lines += ["## Cost", "", *_markdown_table(contents.costs(result))]
    if claim.controls:
        lines += ["", "## Controls", ""]
        lines += [f"- *{trap}*: {how}" for trap, how in claim.controls.items()]
    if claim.earlier_runs:
        lines += ["", "## Earlier runs", "", *(f"- {what}" for what in claim.earlier_runs)]
    if claim.not_tried:
        lines += ["", "## Not tried", "", *(f"- {what}" for what in claim.not_tried)]
    failed = contents.failures(result)
    if failed:
        lines += ["", "## Failures"]
        for what, error in failed:
            lines += ["", f"{what}:", "", "```text", error, "```"]
    lines += ["", "## Run it again", "", "```bash", result.command, "```", ""]
    if claim.parts:
        lines += ["Parts: " + ", ".join(f"{k} `{v}`" for k, v in claim.parts.items()) + ".", ""]
    lines += ["## Provenance", "", *_markdown_table(contents.provenance(result))]
    lines += ["", *_markdown_table(contents.units(result))]
    return "\n".join(lines) + "\n"


def _picture(number: int, figure: Figure) -> list[str]:
    caption = f"\n\n*{figure.caption}*" if figure.caption else ""
    return [f"![{figure.title}](figures/{file_name(number, figure)}){caption}", ""]


def _markdown_table(rows: Table) -> list[str]:
    numbers = rows.numbers.ljust(len(rows.head))
    lines = [
        "| " + " | ".join(rows.head) + " |",
        "|"
        + "|".join("---:" if kind == "n" else "---" for kind in numbers[: len(rows.head)])
        + "|",
    ]
    for row in rows.rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def as_html(result: Result, drawn: Sequence[Figure]) -> str:
    """The page as one HTML file that needs no network and no other file."""
    claim, verdict = result.claim, result.verdict
    sections: list[tuple[str, str, str]] = []
    evidence = f'<p class="soft">{escape(HOW)}</p>' + _figure(drawn[0], title=False)
    evidence += _html_table(contents.hypotheses(result), rulings=3)
    sections.append(("hypotheses", "Hypotheses", evidence))
    shown = "".join(_figure(figure) for figure in drawn[1:])
    tables = "".join(
        f"<h3>{escape(name)}</h3>{_html_table(rows)}"
        for name, rows in contents.outcomes(result, "outcomes")
    )
    pooled = "".join(
        f"<h3>{escape(name)}</h3>{_html_table(rows)}" for name, rows in contents.pooled(result)
    )
    if pooled:
        pooled = f'<h3>Episodes, pooled</h3><p class="soft">{escape(POOLED)}</p>{pooled}'
    body = f'<div class="charts">{shown}</div>' if shown else ""
    body += f"<details open><summary>as tables</summary>{tables}</details>{pooled}"
    sections.append(("outcomes", "Outcomes", body))
    setting = _definitions(claim.arms)
    for name, text in (
        ("World", claim.world),
        ("Budget", claim.budget),
        ("Scale", claim.scale_note),
    ):
        if text:
            setting += f"<h3>{name}</h3><p>{escape(text)}</p>"
    sections.append(("arms", "Arms", setting))
    sections.append(("cost", "Cost", _html_table(contents.costs(result))))
    if claim.controls:
        sections.append(("controls", "Controls", _definitions(claim.controls)))
    if claim.earlier_runs:
        listed = "".join(f"<li>{escape(what)}</li>" for what in claim.earlier_runs)
        sections.append(("earlier-runs", "Earlier runs", f"<ul>{listed}</ul>"))
    if claim.not_tried:
        listed = "".join(f"<li>{escape(what)}</li>" for what in claim.not_tried)
        sections.append(("not-tried", "Not tried", f"<ul>{listed}</ul>"))
    failed = "".join(
        f"<h3>{escape(what)}</h3><pre>{escape(error)}</pre>"
        for what, error in contents.failures(result)
    )
    if failed:
        sections.append(("failures", "Failures", failed))
    origin = f"<pre>{escape(result.command)}</pre>"
    if claim.parts:
        origin += table(
            ["part", "module"],
            [[escape(k), f"<code>{escape(v)}</code>"] for k, v in claim.parts.items()],
        )
    origin += _html_table(contents.provenance(result))
    origin += f"<details><summary>units</summary>{_html_table(contents.units(result))}</details>"
    sections.append(("provenance", "Run it again", origin))
    style = "".join(
        files(package).joinpath("style.css").read_text(encoding="utf-8")
        for package in ("enactive.evaluation.report", "enactive.evaluation.claims")
    )
    nav = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in sections)
    kind = KIND[Ruling.INCONCLUSIVE if result.quick else verdict.ruling]
    cautions = "".join(f"<li>{escape(text)}</li>" for text in result.cautions)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{ONLY_THIS_FILE}">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(claim.title)}: {result.headline}</title><style>{style}</style>"
        f"</head><body><header><div><h1>{escape(claim.title)}</h1>"
        f'<p class="statement">{escape(claim.statement)}</p>'
        f'<p class="ruling {kind}">{result.headline}</p>'
        f"<p>{escape(contents.verdict_line(result))}</p>"
        f'<p class="note">Source: {escape(claim.source)}</p>'
        + (f'<ul class="cautions">{cautions}</ul>' if cautions else "")
        + f"<nav>{nav}</nav></div></header><main>"
        + "".join(section(name, title, text) for name, title, text in sections)
        + f"</main><footer>enactive {escape(result.provenance.code_version)} &middot; "
        f"{escape(result.date)}</footer></body></html>\n"
    )


KIND = {Ruling.SUPPORTED: "good", Ruling.NOT_SUPPORTED: "bad", Ruling.INCONCLUSIVE: "open"}


def _figure(figure: Figure, *, title: bool = True) -> str:
    caption = f"<b>{escape(figure.title)}.</b> " if title else ""
    return (
        f"<figure>{figure.svg}<figcaption>{caption}{escape(figure.caption)}</figcaption></figure>"
    )


def _definitions(values: Mapping[str, str]) -> str:
    listed = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in values.items()
    )
    return f'<dl class="listed">{listed}</dl>'


def _html_table(rows: Table, rulings: int | None = None) -> str:
    """A table; the column ``rulings`` becomes badges."""
    cells: list[list[str]] = []
    for row in rows.rows:
        texts = [escape(text) for text in row]
        if rulings is not None:
            kind = KIND[Ruling(row[rulings])]
            texts[rulings] = f'<span class="badge {kind}">{texts[rulings]}</span>'
        cells.append(texts)
    return table(rows.head, cells, numbers=rows.numbers)
