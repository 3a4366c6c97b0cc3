"""Configurations: nested dataclasses, to and from plain values, YAML and a hash.

A component's configuration is a ``@dataclass(kw_only=True, slots=True)`` beside the component. A
field that holds an exchangeable part (a head, a backbone, a world) is written with the part's
registered name beside the part's own fields, so that a saved file names everything it needs::

    head: {part: flow_matching, width: 128, steps: 10}

Reading is strict: an unknown key, a missing value or a wrong type is an error that names the field
by its dotted path and says what would be right.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from enactive.registry import Registry, UnknownPart, suggest

T = TypeVar("T")


class ConfigurationError(ValueError):
    """A configuration that cannot work; the message names the field and the fix."""


class Part:
    """Base of the configurations of an exchangeable kind of part.

    ``class HeadConfig(Part, kind="heads")`` makes every subclass's instances be written with the
    name under which ``Registry("heads")`` finds the class again.
    """

    __slots__ = ()
    part_kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if kind is not None:
            cls.part_kind = kind

    def part_name(self) -> str:
        """The name under which the registry of its kind finds this part's class."""
        return Registry(self.part_kind).name_of(self)


def part(kind: str, **options: Any) -> Any:
    """A dataclass field that holds a part of ``kind`` whose class does not derive from Part.

    Args:
        kind: the registry, e.g. ``"worlds"``.
        options: ``default`` or ``default_factory``, as for ``dataclasses.field``.
    """
    return dataclasses.field(metadata={"kind": kind}, **options)


def added(default: T) -> T:
    """A dataclass field that an older version of the class did not have.

    At its default it is left out of plain values, so that the records and hashes of configurations
    that were written before it existed stay what they are.
    """
    return dataclasses.field(default=default, metadata={"added": True})


# ---------------------------------------------------------------------------- to plain values


def to_dict(config: Any) -> dict[str, Any]:
    """``config`` as nested dicts, lists and scalars that YAML and JSON can hold.

    Raises:
        ConfigurationError: a field holds something that has no plain form; its path is named.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigurationError(f"expected a configuration instance, got {config!r}")
    return _plain(config, "", None)


def _plain(value: Any, where: str, kind: str | None) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = kind or getattr(value, "part_kind", "") or None
        result: dict[str, Any] = {"part": Registry(kind).name_of(value)} if kind else {}
        for field in dataclasses.fields(value):
            if field.init:
                inner = getattr(value, field.name)
                if field.metadata.get("added") and inner == field.default:
                    continue
                result[field.name] = _plain(
                    inner, _join(where, field.name), field.metadata.get("kind")
                )
        return result
    if value is None or isinstance(value, (bool, int, str)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {
            str(key): _plain(inner, _join(where, str(key)), kind) for key, inner in value.items()
        }
    if isinstance(value, (tuple, list)):
        return [_plain(inner, f"{where}[{i}]", kind) for i, inner in enumerate(value)]
    raise ConfigurationError(
        f"{where or 'configuration'}: {type(value).__name__} has no plain form; use numbers, "
        "strings, lists, mappings or nested configurations"
    )


# -------------------------------------------------------------------------- from plain values


def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
    """A ``cls`` made from plain values, the inverse of :func:`to_dict`.

    Args:
        cls: a dataclass, or a :class:`Part` base (then ``data["part"]`` names the class).
        data: its fields; those with defaults may be left out.

    Raises:
        ConfigurationError: an unknown, missing or ill-typed field, named by its dotted path.
    """
    return typing.cast(T, _build(cls, data, "", None))


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _fail(where: str, message: str) -> typing.NoReturn:
    raise ConfigurationError(f"{where or 'configuration'}: {message}")


def _build(target: Any, value: Any, where: str, kind: str | None) -> Any:
    if kind is not None and isinstance(value, Mapping) and "part" in value:
        return _build_part(kind, object, typing.cast(Mapping[str, Any], value), where)
    if target is Any:
        return value
    origin = typing.get_origin(target)
    arguments = typing.get_args(target)
    if origin is typing.Annotated:
        return _build(arguments[0], value, where, kind)
    if origin in (typing.Union, types.UnionType):
        return _build_union(arguments, value, where, kind)
    if origin is typing.Literal:
        if value not in arguments:
            _fail(where, f"{value!r} is not allowed; {suggest(str(value), map(str, arguments))}")
        return value
    if origin is not None:
        return _build_container(origin, arguments, value, where, kind)
    if isinstance(target, type):
        part_kind = kind or getattr(target, "part_kind", "")
        if part_kind and not _is_leaf(target):
            return _build_part(part_kind, target, value, where)
        if dataclasses.is_dataclass(target):
            return _build_dataclass(target, value, where)
    return _build_leaf(target, value, where)


def _is_leaf(target: type) -> bool:
    return target in (bool, int, float, str, Path, type(None))


def _build_part(kind: str, target: type, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        _fail(where, f"expected a mapping with a 'part' key, got {value!r}")
    fields = dict(value)
    if "part" not in fields:
        if dataclasses.is_dataclass(target) and not getattr(target, "__abstractmethods__", None):
            return _build_dataclass(target, fields, where)
        _fail(where, f"needs the key 'part', the name of one of the {kind}")
    try:
        cls = Registry(kind).load(str(fields.pop("part")))
    except UnknownPart as error:
        _fail(_join(where, "part"), str(error))
    return _build_dataclass(cls, fields, where)


def _build_dataclass(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        _fail(where, f"expected a mapping of the fields of {cls.__qualname__}, got {value!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    arguments: dict[str, Any] = {}
    for name, inner in value.items():
        if name not in fields:
            _fail(_join(where, str(name)), f"unknown field; {suggest(str(name), fields)}")
        kind = fields[name].metadata.get("kind")
        arguments[name] = _build(hints[name], inner, _join(where, name), kind)
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in arguments:
            _fail(_join(where, name), f"is missing; {cls.__qualname__} has no default for it")
    try:
        return cls(**arguments)
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where or cls.__qualname__}: {error}") from error


def _build_union(options: Sequence[Any], value: Any, where: str, kind: str | None) -> Any:
    if value is None and type(None) in options:
        return None
    problems: list[str] = []
    # An exact scalar type wins, so that 1 in `int | float` stays an int.
    ordered = sorted(options, key=lambda option: type(value) is not option)
    for option in ordered:
        if option is type(None):
            continue
        try:
            return _build(option, value, where, kind)
        except ConfigurationError as error:
            problems.append(str(error))
    raise ConfigurationError(problems[0] if len(problems) == 1 else " / ".join(problems))


def _build_container(
    origin: Any, arguments: tuple[Any, ...], value: Any, where: str, kind: str | None
) -> Any:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            _fail(where, f"expected a mapping, got {value!r}")
        key_type, inner_type = arguments
        return {
            _build(key_type, key, where, None): _build(
                inner_type, inner, _join(where, str(key)), kind
            )
            for key, inner in value.items()
        }
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        _fail(where, f"expected a list, got {value!r}")
    items = [(f"{where}[{i}]", inner) for i, inner in enumerate(value)]
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        if len(items) != len(arguments):
            _fail(where, f"expected {len(arguments)} entries, got {len(items)}")
        return tuple(
            _build(t, inner, at, kind) for t, (at, inner) in zip(arguments, items, strict=True)
        )
    built = [_build(arguments[0], inner, at, kind) for at, inner in items]
    return tuple(built) if origin in (tuple, Sequence) or origin is Sequence else built


def _build_leaf(target: Any, value: Any, where: str) -> Any:
    if target is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if target is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as a string
        try:
            return float(value)
        except ValueError:
            _fail(where, f"expected a number, got {value!r}")
    if target is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if target is Path and isinstance(value, (str, Path)):
        return Path(value)
    if target in (bool, str) and isinstance(value, target):
        return value
    if isinstance(target, type) and issubclass(target, enum.Enum):
        try:
            return target(value)
        except ValueError:
            known = [str(member.value) for member in target]
            _fail(where, f"{value!r} is not allowed; {suggest(str(value), known)}")
    if target in (list, dict, tuple) and isinstance(value, (list, dict, tuple)):
        return target(value)
    name = getattr(target, "__name__", str(target))
    _fail(where, f"expected {name}, got {value!r}")


# ----------------------------------------------------------------------------- files and hash


def save_yaml(config: Any, path: Path) -> None:
    """Write ``config`` to ``path`` as YAML, whole or not at all."""
    import yaml

    plain = to_dict(config)
    # PyYAML writes U+0085 as it is and reads it as a line break; only then is everything escaped.
    readable = "\x85" not in json.dumps(plain, ensure_ascii=False)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=readable, width=100)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def load_yaml(cls: type[T], path: Path) -> T:
    """The ``cls`` that :func:`save_yaml` wrote to ``path`` (or that was written by hand).

    Raises:
        ConfigurationError: as :func:`from_dict`, with the file's name in front.
    """
    import yaml

    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        if not isinstance(data, Mapping):
            raise ConfigurationError(f"expected a mapping, got {type(data).__name__}")
        return from_dict(cls, typing.cast(Mapping[str, Any], data))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def config_hash(config: Any) -> str:
    """16 hexadecimal digits that change when any field of ``config`` (or of a part) does.

    Floats are hashed by their shortest exact decimal form, keys in sorted order, so that the hash
    does not depend on the order of fields, on the platform or on the YAML in between.
    """
    plain = to_dict(config) if dataclasses.is_dataclass(config) else config
    text = json.dumps(_finite(plain), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return value
