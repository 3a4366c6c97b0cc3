"""A hook of mkdocs: verdict pages become pages of the site, and the table of systems is filled in.

The pages lie in ``claims/`` of the repository, where ``enactive claim NAME --keep claims`` puts
them; nothing is copied by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

MARK = "<!-- the table of systems -->"


def on_files(files: Files, *, config: Any) -> Files:
    """Add verdict pages and their pictures."""
    root = _claims(config)
    for pattern in ("*/verdict.md", "*/verdict.html", "*/figures/*.svg"):
        for path in sorted(root.glob(pattern)):
            name = f"claims/{path.relative_to(root).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Fill in the table of systems."""
    if MARK not in markdown:
        return markdown
    from enactive.evaluation.claims.table import as_markdown, rows

    return markdown.replace(MARK, as_markdown(rows(_claims(config))))


def _claims(config: Any) -> Path:
    return Path(config.config_file_path).parent / "claims"
