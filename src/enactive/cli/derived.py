"""Options derived from a configuration class: its fields, but for those that the command gives."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import tyro


def derive(
    name: str,
    config: type[Any],
    *,
    without: Collection[str],
    flat: Collection[str] = (),
    extra: Mapping[str, tuple[Any, Any]] | None = None,
) -> type[Any]:
    """A dataclass with the fields of ``config``, documented as they are there.

    Args:
        name: of the new class.
        config: a dataclass.
        without: fields that are left out.
        flat: nested configurations whose fields get no prefix: ``--horizon`` instead of
            ``--model.horizon``.
        extra: more fields, name to (annotated type, default).
    """
    hints = typing.get_type_hints(config, include_extras=True)
    notes = field_notes(config)
    fields: list[Any] = [
        (field, hint, dataclasses.field(default=default))
        for field, (hint, default) in (extra or {}).items()
    ]
    for field in dataclasses.fields(config):
        if field.name in without:
            continue
        options: dict[str, Any] = {"help": notes.get(field.name, "")}
        if field.name in flat:
            options["name"] = ""
        hint = Annotated[hints[field.name], tyro.conf.arg(**options)]
        if field.default_factory is not dataclasses.MISSING:
            kept = dataclasses.field(default_factory=field.default_factory)
        else:
            kept = dataclasses.field(default=field.default)
        fields.append((field.name, hint, kept))
    return dataclasses.make_dataclass(name, fields, kw_only=True, frozen=True)


def field_notes(config: type[Any]) -> dict[str, str]:
    """Field name to the docstring line below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(config)))
    body = tree.body[0]
    assert isinstance(body, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
            notes[field.target.id] = " ".join(str(note.value.value).replace("``", "").split())
    return notes
