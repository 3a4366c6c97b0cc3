"""Tools from Python functions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic wants it before Python 3.12

from enactive.actions.signature import SignatureError, bind, tool, toolbox
from enactive.actions.toolbox import CallContext, ToolError
from enactive.actions.tools import READS, Call, Failure, Returned


@dataclass
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    speed: Annotated[float, Field(gt=0, le=1)]
    mode: Literal["fast", "careful"]


class Tree(BaseModel):
    children: list[Tree] = []


@tool(effects=READS, resources=("place:{name}",))
def move(
    name: str, to: Point, options: Options | None = None, times: int = 1, *, context: CallContext
) -> dict[str, Any]:
    """Move a thing
    somewhere.

    Slowly.

    Args:
        name: which thing,
            by its name.
        times: how often.
    """
    return {"name": name, "x": to.x, "y": to.y, "options": options, "times": times,
            "key": context.key}  # fmt: skip


CONTEXT = CallContext(path="0.0.0", key="k")


def called(function: Any, **arguments: Any) -> Any:
    box = toolbox(function)
    return box.call(Call(tool=box.tools[0].name, arguments=arguments), CONTEXT)


def test_signature_and_docstring_become_the_tool() -> None:
    one = toolbox(move)[0].tool
    assert (one.name, one.description) == ("move", "Move a thing somewhere.\n\nSlowly.")
    assert one.effects == READS and one.resources == ("place:{name}",)
    schema = one.input_schema
    assert list(schema["properties"]) == ["name", "to", "options", "times"]
    assert schema["required"] == ["name", "to"] and schema["additionalProperties"] is False
    assert schema["properties"]["name"] == {"type": "string",
                                            "description": "which thing, by its name."}  # fmt: skip
    assert schema["properties"]["times"]["default"] == 1
    assert "$ref" not in str(schema) and "$defs" not in str(schema) and "title" not in str(schema)
    assert schema["properties"]["to"]["required"] == ["x"]
    assert one.output_schema["type"] == "object"


def test_arguments_become_the_annotated_types_and_the_context_is_given() -> None:
    result = called(move, name="cup", to={"x": 1}, options={"speed": 0.5})
    value = {"name": "cup", "x": 1.0, "y": 0.0, "options": {"speed": 0.5}, "times": 1, "key": "k"}
    assert result == Returned(value=value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cup"}, "'to' is a required property"),
        ({"name": "cup", "to": {"x": 1}, "context": 3}, "Additional properties"),
        ({"name": 3, "to": {"x": 1}}, "arguments.name: 3 is not of type 'string'"),
        ({"name": "cup", "to": {"x": 1}, "options": {"speed": 2}}, "arguments.options"),
        ({"name": "cup", "to": {"x": 1, "z": 2}}, "arguments.to"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    result = called(move, **arguments)
    assert isinstance(result, Failure) and result.kind == "invalid" and message in result.message


def test_what_the_schema_cannot_say_is_checked_before_the_call() -> None:
    ran: list[Any] = []

    def even(n: Annotated[str, Field(pattern=r"^\d+$")], when: Annotated[int, Field(ge=0)]) -> int:
        ran.append(n)
        return when

    with pytest.raises(ToolError, match="arguments.when: "):
        bind(even).function(n="4", when="soon")
    assert not ran
    assert called(even, n="4", when=2) == Returned(value=2)


def test_results_become_json_and_must_fit_the_annotation() -> None:
    def where() -> Point:
        return Point(1.0, 2.0)

    def wrong() -> int:
        return "three"  # type: ignore[return-value]

    assert called(where) == Returned(value={"x": 1.0, "y": 2.0})
    result = called(wrong)
    assert isinstance(result, Failure) and "wrong returned result: 'three'" in result.message


def test_async_functions_stay_async() -> None:
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    bound = bind(later)
    assert asyncio.run(bound.start(Call(tool="later", arguments={"n": 1}), CONTEXT)) == 2
    result = called(later, n=1)
    assert isinstance(result, Failure) and "nothing here can wait for it" in result.message


def test_methods_of_an_object_in_the_order_they_are_written() -> None:
    class Shop:
        def __init__(self) -> None:
            self.sold: list[str] = []

        @tool()
        def sell(self, what: str) -> int:
            self.sold.append(what)
            return len(self.sold)

        @tool(name="close-shop", blocking=True)
        def close(self) -> None: ...

        def unmarked(self) -> None: ...

    shop, other = Shop(), Shop()
    box = toolbox(shop, move)
    assert [one.tool.name for one in box] == ["sell", "close-shop", "move"]
    assert box.find("close-shop").blocking and not box.find("sell").blocking
    assert box.call(Call(tool="sell", arguments={"what": "cup"}), CONTEXT) == Returned(value=1)
    assert box.call(Call(tool="close-shop", arguments={}), CONTEXT) == Returned(value=None)
    assert shop.sold == ["cup"] and other.sold == []
    with pytest.raises(ValueError, match="neither a function nor an object with methods marked"):
        toolbox(object())


def bare(x) -> None: ...  # type: ignore[no-untyped-def]
def many(*xs: int) -> None: ...
def named(**xs: int) -> None: ...
def positional(x: int, /) -> None: ...
def array(x: np.ndarray) -> None: ...
def recursive(x: Tree) -> None: ...
def missing(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def default(x: int = "one") -> None: ...  # type: ignore[assignment]
def twice(x: CallContext, y: CallContext) -> None: ...
def given(x: int) -> np.ndarray: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bare, "parameter 'x' has no annotation; write x: str"),
        (many, r"\*xs takes any arguments"),
        (named, r"\*\*xs takes any arguments"),
        (positional, "'x' is positional-only"),
        (array, "parameter 'x' is annotated ndarray, which JSON cannot carry"),
        (recursive, "parameter 'x' is annotated Tree: .*contains itself"),
        (missing, "'Nowhere', which is not there"),
        (default, "the default of 'x' is 'one', which is not of the annotated type"),
        (twice, "two parameters take the CallContext"),
        (given, "the result is annotated ndarray"),
        (lambda x: x, "a function without a name"),
    ],
)
def test_a_function_that_cannot_be_a_tool_says_why(function: Any, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        bind(function)


def test_resources_must_name_arguments() -> None:
    @tool(resources=("file:{pth}",))
    def read(path: str) -> str:
        return path

    with pytest.raises(SignatureError, match="'pth'.*did you mean 'path'"):
        bind(read)
