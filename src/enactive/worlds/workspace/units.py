"""Unit conversions with a calculator."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.worlds.workspace.answers import judge_number
from enactive.worlds.workspace.problem import (
    Domain,
    Judge,
    Level,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    several,
    text,
)

UNITS: Mapping[str, Mapping[str, float]] = {
    "length": {
        "metre": 1.0, "kilometre": 1000.0, "centimetre": 0.01, "mile": 1609.344, "yard": 0.9144,
        "foot": 0.3048, "inch": 0.0254,
    },
    "mass": {
        "kilogram": 1.0, "gram": 0.001, "pound": 0.45359237, "ounce": 0.028349523125,
        "stone": 6.35029318,
    },
    "volume": {
        "litre": 1.0, "millilitre": 0.001, "gallon": 3.785411784, "pint": 0.473176473,
    },
    "time": {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0},
}  # fmt: skip
"""Dimension to unit to its size in the dimension's first unit: the international yard and pound
(1959), US liquid gallon and pint. All are exact by definition."""

PLURALS: Mapping[str, str] = {"foot": "feet", "inch": "inches", "stone": "stone"}
"""Of units that do not take an s."""

SPELLINGS: Mapping[str, str] = {
    "meter": "metre", "meters": "metre", "m": "metre", "kilometer": "kilometre",
    "kilometers": "kilometre", "km": "kilometre", "centimeter": "centimetre",
    "centimeters": "centimetre", "cm": "centimetre", "mi": "mile", "yd": "yard", "ft": "foot",
    "kg": "kilogram", "g": "gram", "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "litre",
    "liter": "litre", "liters": "litre", "ml": "millilitre", "milliliter": "millilitre",
    "milliliters": "millilitre", "s": "second", "min": "minute", "h": "hour",
}  # fmt: skip

TOLERANCE = 1e-4
"""Relative: four significant digits, rounded."""


def plural(unit: str) -> str:
    """``"miles"``, ``"feet"``."""
    return PLURALS.get(unit, f"{unit}s")


def size(unit: str) -> tuple[str, float]:
    """Dimension and size of a unit, however it is spelt; raises ``ToolError``."""
    name = _NAMES.get(unit.strip().casefold(), "")
    for dimension, units in UNITS.items():
        if name in units:
            return dimension, units[name]
    known = ", ".join(name for units in UNITS.values() for name in units)
    raise ToolError(f"there is no unit {unit!r}; there are: {known}")


def _names() -> dict[str, str]:
    names = {name: name for units in UNITS.values() for name in units}
    return {**names, **{plural(name): name for name in names}, **SPELLINGS}


_NAMES = _names()


def evaluate(expression: str) -> float:
    """The value of an expression of numbers, ``+ - * / **`` and parentheses.

    Raises:
        ToolError: it is something else, or has no finite value.
    """
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"{expression!r} is no expression of numbers, + - * / ** ( )") from error
    except ZeroDivisionError as error:
        raise ToolError(f"{expression!r} divides by zero") from error
    except OverflowError as error:
        raise ToolError(f"{expression!r} is too large") from error
    return value


def _value(node: ast.AST) -> float:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and (not isinstance(node.value, bool))
    ):
        return float(node.value)  # floats everywhere: a power of integers could fill the memory
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        value = _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
        if isinstance(value, float):  # a negative number to a fraction is complex
            return value
    raise ValueError("not arithmetic")


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _convert(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    (kind, of), (other, to) = size(arguments["unit"]), size(arguments["to"])
    if kind != other:
        raise ToolError(f"{arguments['unit']} is {kind} and {arguments['to']} is {other}")
    return {"value": float(f"{arguments['value'] * of / to:.10g}"), "unit": arguments["to"]}


def _calculate(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    return {"value": float(f"{evaluate(arguments['expression']):.10g}")}


OPERATIONS = (
    reads(
        "convert",
        "Convert a quantity from one unit to another of the same dimension.",
        {
            "value": {"type": "number", "description": "how many", "examples": [1, 2.5]},
            "unit": text("the unit it is in", 20, examples=["mile", "kilogram", "hour"]),
            "to": text("the unit wanted", 20, examples=["metre", "gram", "second"]),
        },
        _convert,
    ),
    reads(
        "calculate",
        "The value of an arithmetic expression: numbers, + - * / ** and parentheses.",
        {"expression": text("e.g. (2.5 + 4) / 3", 200, examples=["2.5 * 4"])},
        _calculate,
    ),
)

CONVERT = Wordings(
    training=(
        "How many {to} are {value} {unit}?",
        "Convert {value} {unit} to {to}.",
        "Express {value} {unit} in {to}.",
    ),
    held_out=(
        "I have {value} {unit} of it; what is that in {to}?",
        "Give me the number of {to} in {value} {unit}.",
    ),
)
ADD = Wordings(
    training=(
        "How many {to} are {value} {unit} and {value2} {unit2} together?",
        "Add {value} {unit} and {value2} {unit2}; give the sum in {to}.",
    ),
    held_out=(
        "Put {value} {unit} and {value2} {unit2} together: how many {to} does that make?",
        "What do {value} {unit} plus {value2} {unit2} come to in {to}?",
    ),
)
SPEED = Wordings(
    training=(
        "A cart covers {value} {unit} in {value2} {unit2}. How many {to} is that per {per}?",
        "What is the speed of {value} {unit} in {value2} {unit2}, in {to} per {per}?",
    ),
    held_out=(
        "Travelling {value} {unit} takes {value2} {unit2}; how many {to} are made each {per}?",
        "{value} {unit} within {value2} {unit2} is how many {to} per {per}?",
    ),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """A conversion, a sum in three units, or a speed."""

    def number(low: float, high: float) -> float:
        return round(float(generator.uniform(low, high)), 1)

    fields: dict[str, Any]
    if level == 1:
        dimension = pick(generator, [*UNITS])
        unit, to = several(generator, [*UNITS[dimension]], 2)
        value = number(2, 90)
        expected = value * UNITS[dimension][unit] / UNITS[dimension][to]
        fields = {"value": value, "unit": plural(unit), "to": plural(to)}
        steps = (call("convert", value=value, unit=unit, to=to),)
        return _problem(CONVERT, fields, steps, expected, {to})
    if level == 2:
        dimension = pick(generator, [*UNITS])
        unit, unit2, to = several(generator, [*UNITS[dimension]], 3)
        value, value2 = number(2, 90), number(2, 90)
        sizes = UNITS[dimension]
        first, second = value * sizes[unit] / sizes[to], value2 * sizes[unit2] / sizes[to]
        fields = {
            "value": value, "unit": plural(unit), "value2": value2, "unit2": plural(unit2),
            "to": plural(to),
        }  # fmt: skip
        steps = (
            call("convert", value=value, unit=unit, to=to),
            call("convert", value=value2, unit=unit2, to=to),
            call("calculate", expression=f"{first:.10g} + {second:.10g}"),
        )
        return _problem(ADD, fields, steps, first + second, {to})
    unit, to = several(generator, [*UNITS["length"]], 2)
    unit2, per = several(generator, [*UNITS["time"]], 2)
    value, value2 = number(2, 90), number(2, 20)
    way = value * UNITS["length"][unit] / UNITS["length"][to]
    time = value2 * UNITS["time"][unit2] / UNITS["time"][per]
    fields = {
        "value": value, "unit": plural(unit), "value2": value2, "unit2": plural(unit2),
        "to": plural(to), "per": per,
    }  # fmt: skip
    steps = (
        call("convert", value=value, unit=unit, to=to),
        call("convert", value=value2, unit=unit2, to=per),
        call("calculate", expression=f"{way:.10g} / {time:.10g}"),
    )
    return _problem(SPEED, fields, steps, way / time, {to, per})


def _problem(
    wordings: Wordings,
    fields: Mapping[str, Any],
    steps: tuple[Mapping[str, Any], ...],
    expected: float,
    asked: set[str],
) -> Problem:
    spelt = {spelling: "asked" if name in asked else name for spelling, name in _NAMES.items()}
    # The same words are units of the answer in one question and rivals in another.
    judge: Judge = lambda state, answer: judge_number(  # noqa: E731
        answer, expected, tolerance=TOLERANCE, units=spelt, unit="asked"
    )
    solution = (*steps, call("answer", text=f"{expected:.8g}"))
    return Problem(wordings=wordings, fields=fields, state={}, solution=solution, judge=judge)


UNIT_CONVERSIONS = Domain(
    name="units",
    operations=OPERATIONS,
    levels=(
        Level(max_steps=8, description="one conversion"),
        Level(max_steps=12, description="a sum of two quantities in three units"),
        Level(max_steps=12, description="a speed in other units of length and time"),
    ),
    generate=generate,
)
