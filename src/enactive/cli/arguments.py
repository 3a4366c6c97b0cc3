"""Typed options from configuration dataclasses, and the choice of parts by name.

A command that takes an exchangeable part is parsed in two stages: ``--head NAME`` is read first,
then the options are made from the configuration class registered under that name, so that
``--head l1`` exposes the fields of L1 and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from enactive.cli.mistakes import UserError
from enactive.registry import Registry, UnknownPart

T = TypeVar("T")


def parse(
    arguments: type[T],
    argv: Sequence[str],
    command: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> T:
    """The ``arguments`` that ``argv`` spells; prints help or an error and exits as tyro does.

    Args:
        arguments: a dataclass; its docstring is the help's text, examples included.
        argv: the words after the command.
        command: its name.
        defaults: values instead of the class's own defaults. The class of a part in it decides
            which options there are.
        description: text instead of the docstring.
    """
    options: dict[str, Any] = {}
    if defaults is not None:
        values = dict(defaults)
        for field in dataclasses.fields(arguments):  # type: ignore[arg-type]
            missing = field.default is dataclasses.MISSING
            if missing and field.default_factory is dataclasses.MISSING:
                values.setdefault(field.name, tyro.MISSING)
        options["default"] = arguments(**values)
    return tyro.cli(
        arguments,
        prog=f"enactive {command}",
        description=documentation(arguments) if description is None else description,
        args=list(argv),
        config=(tyro.conf.FlagCreatePairsOff,),
        **options,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One part chosen by name."""

    name: str
    config: Any
    """An instance of the registered configuration class with its defaults; None for no part."""
    given: bool
    """Whether the option was there."""


def choose_parts(
    argv: Sequence[str], options: Mapping[str, tuple[str, str | None]]
) -> tuple[dict[str, Choice], list[str]]:
    """The first stage: read the options that name parts.

    Args:
        argv: the words after the command.
        options: option name to registry kind and default name,
            e.g. ``{"head": ("heads", "flow_matching")}`` for ``--head NAME``; a default of None
            means no such part unless one is named.

    Returns:
        The choices by option name, and ``argv`` without those words.

    Raises:
        UserError: no such part, with a suggestion, or an option without its name.
    """
    chosen = {option: default for option, (_, default) in options.items()}
    given: set[str] = set()
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        option, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or option not in options:
            rest.append(word)
            continue
        if not equals:
            value = next(words, "")
        if not value or value.startswith("-"):
            kind = options[option][0]
            known = ", ".join(Registry(kind).names())
            raise UserError(f"--{option} needs the name of one of the {kind}: {known}")
        chosen[option] = value
        given.add(option)
    choices: dict[str, Choice] = {}
    for option, name in chosen.items():
        if name is None:
            choices[option] = Choice("none", None, False)
            continue
        try:
            config_class = Registry(options[option][0]).load(name)
        except UnknownPart as error:
            raise UserError(f"--{option}: {error}") from error
        choices[option] = Choice(name, config_class(), option in given)
    return choices, rest


def parse_with_parts(
    arguments: type[T],
    argv: Sequence[str],
    command: str,
    parts: Mapping[str, tuple[str, str | None]],
    *,
    recorded: Collection[str] = (),
) -> T:
    """Both stages of a command whose parts are fields of ``arguments`` under their options' names.

    Args:
        parts: as the ``options`` of :func:`choose_parts`.
        recorded: parts that what the command reads was recorded with. They are None unless they
            are named: options of another would be ignored. Help shows the default's.
    """
    choices, rest = choose_parts(argv, parts)
    helping = "-h" in rest or "--help" in rest
    return parse(
        arguments,
        rest,
        command,
        defaults={
            name: one.config if name not in recorded or one.given or helping else None
            for name, one in choices.items()
        },
        description=f"{documentation(arguments)}\n\n{describe_choices(parts, choices)}",
    )


def describe_choices(
    options: Mapping[str, tuple[str, str | None]], choices: Mapping[str, Choice]
) -> str:
    """The help's paragraph on options that name parts."""
    lines = ["Parts, whose own options follow the choice:"]
    for option, (kind, default) in options.items():
        known = ", ".join(Registry(kind).names())
        now = choices[option].name
        lines.append(f"  --{option} NAME   {known} (default: {default or 'none'}; now: {now})")
    return "\n".join(lines)


def documentation(arguments: type[Any]) -> str:
    """A class's docstring with its indentation removed."""
    import inspect

    return inspect.cleandoc(arguments.__doc__ or "")
