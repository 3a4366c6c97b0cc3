"""Tools from Python functions: the signature and the docstring say what a tool takes and gives.

@tool(effects=READS, resources=("file:{path}",))
def read(path: str, lines: int = 100) -> str:
    '''Read a text file.

    Args:
        path: relative to the task's folder.
        lines: how many, from the first.
    '''

tools = toolbox(read, shop)     # functions, methods, and objects with methods marked so
"""

from __future__ import annotations

import inspect
import keyword
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from docstring_parser import Docstring
from docstring_parser import parse as parse_docstring
from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, ValidationError

from enactive.actions.json_schema import inlined, inlined_value
from enactive.actions.toolbox import BoundTool, CallContext, Toolbox, ToolError
from enactive.actions.tools import EXTERNAL, Effects, Tool

F = TypeVar("F", bound=Callable[..., Any])


class SignatureError(TypeError):
    """A function that cannot be a tool as it is written; the message names the parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What :func:`tool` says of a function beyond its signature."""

    name: str = ""
    """By default the function's own."""
    effects: Effects = EXTERNAL
    resources: tuple[str, ...] | None = None
    blocking: bool = False
    keyed: bool = False
    timeout_s: float | None = None


def tool(
    *,
    name: str = "",
    effects: Effects = EXTERNAL,
    resources: tuple[str, ...] | None = None,
    blocking: bool = False,
    keyed: bool = False,
    timeout_s: float | None = None,
) -> Callable[[F], F]:
    """Mark a function or method as a tool; it stays what it is.

    Args:
        name: by default the function's own.
        effects: what calling it does.
        resources: what it touches, see :attr:`enactive.actions.tools.Tool.resources`.
        blocking: whether it waits for something, so that it should run in a thread of its own.
        keyed: whether what it reaches honours the key of its CallContext.
        timeout_s: longest that a call may take, s.
    """
    said = Declared(
        name=name, effects=effects, resources=resources, blocking=blocking, keyed=keyed,
        timeout_s=timeout_s,
    )  # fmt: skip

    def mark(function: F) -> F:
        setattr(function, _MARK, said)
        return function

    return mark


def toolbox(*sources: Any) -> Toolbox:
    """The tools of functions, bound methods, bound tools, and objects whose methods are marked.

    Raises:
        SignatureError: a function's signature does not say what a tool needs.
        ValueError: two tools have one name, or an object has no marked method.
    """
    bound: list[BoundTool] = []
    for source in sources:
        if isinstance(source, BoundTool):
            bound.append(source)
        elif isinstance(source, Toolbox):
            bound += source.bound
        elif inspect.isroutine(source):
            bound.append(bind(source))
        else:
            bound += _methods(source)
    return Toolbox(tuple(bound))


def bind(function: Callable[..., Any], declared: Declared | None = None) -> BoundTool:
    """The tool that a function is.

    Its arguments are the parameters, each with an annotation that pydantic understands; one that is
    annotated :class:`~enactive.actions.toolbox.CallContext` is given the call's context and is no
    argument. JSON values are turned into the annotated types before the call, and the result back.

    Args:
        function: plain or ``async``; it may be a bound method.
        declared: what is said of it; by default what :func:`tool` said, or else nothing.

    Raises:
        SignatureError: a parameter has no annotation, one that JSON cannot carry, or is positional
            only or variadic; the message says what to write.
    """
    said = declared or getattr(function, _MARK, None) or Declared()
    name = said.name or function.__name__
    where = f"tool {name!r}"
    if not said.name and not name.isidentifier():
        raise SignatureError(f"{where}: a function without a name; give tool(name=...)")
    signature = inspect.signature(function)
    hints = _hints(function, where)
    context = ""
    adapters: dict[str, TypeAdapter[Any]] = {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    documented = parse_docstring(inspect.getdoc(function) or "")
    words = {one.arg_name: _line(one.description or "") for one in documented.params}
    for parameter in signature.parameters.values():
        hint = _annotation(parameter, hints, where)
        if hint is CallContext:
            if context:
                raise SignatureError(f"{where}: two parameters take the CallContext; keep one")
            context = parameter.name
            continue
        adapter, schema = _adapted(hint, f"{where}: parameter {parameter.name!r}", "validation")
        if words.get(parameter.name):
            schema.setdefault("description", words[parameter.name])
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        else:
            schema |= _default(adapter, parameter, where)
        adapters[parameter.name], properties[parameter.name] = adapter, schema
    arguments: dict[str, Any] = {"type": "object", "properties": properties,
                                 "additionalProperties": False}  # fmt: skip
    if required:
        arguments["required"] = required
    returns, output = _result(signature, hints, where)
    try:
        made = Tool(
            name=name,
            description=_line(_words(documented)),
            input_schema=_without_references(arguments, where),
            output_schema=output,
            effects=said.effects,
            resources=said.resources,
        )
    except ValueError as error:
        raise SignatureError(str(error)) from error
    return BoundTool(
        tool=made,
        function=_function(function, adapters, returns),
        context=context,
        keyed=said.keyed,
        blocking=said.blocking,
        timeout_s=said.timeout_s,
    )


_MARK = "__enactive_tool__"


def _methods(source: Any) -> list[BoundTool]:
    names: dict[str, None] = {}
    for cls in reversed(type(source).__mro__):
        names |= {name: None for name, one in vars(cls).items() if hasattr(one, _MARK)}
    if not names:
        raise ValueError(
            f"toolbox: {source!r} is neither a function nor an object with methods marked @tool"
        )
    return [bind(getattr(source, name)) for name in names]


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise SignatureError(
            f"{where}: an annotation names {error.name!r}, which is not there when the tool is "
            "made; import it at the top of the module (not under TYPE_CHECKING)"
        ) from error


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Any:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise SignatureError(
            f"{where}: {stars}{name} takes any arguments; name each, or take one list or mapping"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise SignatureError(f"{where}: {name!r} is positional-only; calls name their arguments")
    if name not in hints:
        raise SignatureError(f"{where}: parameter {name!r} has no annotation; write {name}: str, "
                             "or whatever it is")  # fmt: skip
    if keyword.iskeyword(name):  # pragma: no cover - Python's grammar forbids it
        raise SignatureError(f"{where}: {name!r} is a keyword")
    return hints[name]


def _adapted(hint: Any, where: str, mode: Any) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = adapter.json_schema(mode=mode)
        return adapter, inlined_value(schema)
    except (
        PydanticSchemaGenerationError,
        PydanticInvalidForJsonSchema,
        PydanticUserError,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise SignatureError(
            f"{where} is annotated {_shown(hint)}, which JSON cannot carry ({reason}); use JSON's "
            "own types, a dataclass, a TypedDict or a pydantic model"
        ) from error
    except ValueError as error:
        raise SignatureError(f"{where} is annotated {_shown(hint)}: {error}") from error


def _shown(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def _default(adapter: TypeAdapter[Any], parameter: inspect.Parameter, where: str) -> dict[str, Any]:
    try:
        return {"default": adapter.dump_python(parameter.default, mode="json", warnings="error")}
    except (PydanticSerializationError, ValueError):
        if parameter.default is None:  # left out means "none given", whatever the type is
            return {}
        raise SignatureError(
            f"{where}: the default of {parameter.name!r} is {parameter.default!r}, which is not of "
            "the annotated type"
        ) from None


def _result(
    signature: inspect.Signature, hints: Mapping[str, Any], where: str
) -> tuple[TypeAdapter[Any] | None, dict[str, Any]]:
    if signature.return_annotation is inspect.Signature.empty:
        return None, {}
    hint = hints["return"]
    return _adapted(hint, f"{where}: the result", "serialization")


def _without_references(schema: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        return inlined(schema)
    except ValueError as error:  # pragma: no cover - each parameter was inlined before
        raise SignatureError(f"{where}: {error}") from error


def _function(
    function: Callable[..., Any],
    adapters: Mapping[str, TypeAdapter[Any]],
    returns: TypeAdapter[Any] | None,
) -> Callable[..., Any]:
    def taken(given: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in given.items():
            adapter = adapters.get(name)
            try:
                result[name] = value if adapter is None else adapter.validate_python(value)
            except ValidationError as error:
                found = error.errors(include_url=False, include_input=False)[0]
                path = "".join(f".{part}" for part in found["loc"])
                raise ToolError(f"arguments.{name}{path}: {found['msg']}") from error
        return result

    def given_back(value: Any) -> Any:
        if returns is None:
            return value
        return returns.dump_python(value, mode="json", warnings=False)

    if inspect.iscoroutinefunction(function):

        async def later(**given: Any) -> Any:
            return given_back(await function(**taken(given)))

        return later

    def now(**given: Any) -> Any:
        return given_back(function(**taken(given)))

    return now


def _words(documented: Docstring) -> str:
    between = "\n\n" if documented.blank_after_short_description else "\n"
    parts = (documented.short_description, documented.long_description)
    return between.join(part for part in parts if part)


def _line(text: str) -> str:
    """Paragraphs as they are, line breaks within one as spaces."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)
