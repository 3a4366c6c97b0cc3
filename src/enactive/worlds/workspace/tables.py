"""Tables of rows: filter, join, aggregate, sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.registry import suggest
from enactive.worlds.workspace.answers import judge_name, judge_number
from enactive.worlds.workspace.problem import (
    Domain,
    Level,
    Problem,
    State,
    Wordings,
    call,
    pick,
    reads,
    several,
    text,
    writes,
)

CITIES = ("Bergen", "Porto", "Graz", "Turku", "Lucca", "Ghent")
CATEGORIES = ("books", "garden", "kitchen", "music", "sports", "toys")
NAMES = (
    "Ada", "Bo", "Cleo", "Dario", "Edda", "Finn", "Gala", "Hugo", "Ines", "Jon", "Kaya", "Leif",
)  # fmt: skip
BASE = ("customers", "orders")
"""The tables of a problem, which nothing may overwrite."""
SHOWN = 20
MOST_ROWS = 400


def _table(state: State, name: str) -> dict[str, Any]:
    if name not in state["tables"]:
        raise ToolError(f"there is no table {name!r}; {suggest(name, state['tables'])}")
    return state["tables"][name]


def _column(table: Mapping[str, Any], name: str) -> int:
    if name not in table["columns"]:
        raise ToolError(f"there is no column {name!r}; {suggest(name, table['columns'])}")
    return table["columns"].index(name)


def _keep(state: State, into: str, columns: list[str], rows: list[list[Any]]) -> Any:
    if into in BASE:
        raise ToolError(f"into: {into!r} is one of the given tables; choose another name")
    if len(rows) > MOST_ROWS:
        raise ToolError(f"the table would have {len(rows)} rows; at most {MOST_ROWS}")
    state["tables"][into] = {"columns": columns, "rows": rows}
    return {"table": into, "columns": list(columns), "rows": len(rows)}


def _list(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    return {
        name: {"columns": list(table["columns"]), "rows": len(table["rows"])}
        for name, table in sorted(state["tables"].items())
    }


def _show(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    table, first = _table(state, arguments["table"]), arguments["first"]
    rows = [list(row) for row in table["rows"][first : first + SHOWN]]
    return {"columns": list(table["columns"]), "rows": rows, "of": len(table["rows"])}


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _filter(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    table = _table(state, arguments["table"])
    place, holds, value = _column(table, arguments["column"]), _COMPARE[arguments["is"]], None
    rows: list[list[Any]] = []
    for row in table["rows"]:
        value = _alike(arguments["value"], row[place])
        if holds(row[place], value):
            rows.append(list(row))
    return _keep(state, arguments["into"], list(table["columns"]), rows)


def _alike(value: str, other: Any) -> Any:
    """A value that is given as text, in the type of the column."""
    if isinstance(other, str):
        return value
    try:
        return float(value)
    except ValueError as error:
        raise ToolError(f"value: {value!r} is no number, as those of the column are") from error


def _join(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    left, right = _table(state, arguments["table"]), _table(state, arguments["with"])
    here, there = _column(left, arguments["column"]), _column(right, arguments["with_column"])
    rest = [i for i in range(len(right["columns"])) if i != there]
    names = [
        name if name not in left["columns"] else f"{arguments['with']}.{name}"
        for name in (right["columns"][i] for i in rest)
    ]
    rows = [
        [*row, *(other[i] for i in rest)]
        for row in left["rows"]
        for other in right["rows"]
        if row[here] == other[there]
    ]
    return _keep(state, arguments["into"], [*left["columns"], *names], rows)


_AGGREGATE: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "mean": lambda values: round(sum(values) / len(values), 6),
    "min": min,
    "max": max,
    "count": len,
}


def _aggregate(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    table, how = _table(state, arguments["table"]), arguments["how"]
    place, by = _column(table, arguments["column"]), arguments["by"]
    if how not in ("count", "min", "max") and any(isinstance(r[place], str) for r in table["rows"]):
        raise ToolError(f"column: {arguments['column']!r} holds text; {how} needs numbers")
    groups: dict[Any, list[Any]] = {}
    for row in table["rows"]:
        groups.setdefault(row[_column(table, by)] if by else "all", []).append(row[place])
    rows = [[group, _AGGREGATE[how](values)] for group, values in groups.items()]
    columns = [by or "group", f"{how}_{arguments['column']}"]
    done = _keep(state, arguments["into"], columns, rows)
    return {**done, "first_rows": [list(row) for row in rows[:SHOWN]]}


def _sort(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    table = _table(state, arguments["table"])
    place = _column(table, arguments["column"])
    rows = sorted(
        table["rows"], key=lambda row: row[place], reverse=arguments["order"] == "descending"
    )
    done = _keep(state, arguments["into"], list(table["columns"]), [list(row) for row in rows])
    return {**done, "first_rows": [list(row) for row in rows[:SHOWN]]}


def _name(what: str) -> dict[str, Any]:
    examples = ["orders", "customers", "found"]
    return text(what, 40, pattern="^[a-z_][a-z0-9_]*$", examples=examples)


_COLUMN = text("name of a column", 60, examples=["amount", "city", "customer"])
_INTO = _name("name of the table that is made; one that was made before is replaced")
_BOTH = ("table:{table}", "table:{into}")

OPERATIONS = (
    reads("list_tables", "All tables with their columns.", {}, _list, resources=None),
    reads(
        "show_rows", f"Up to {SHOWN} rows of a table.",
        {
            "table": _name("name of the table"),
            "first": {"type": "integer", "minimum": 0, "default": 0, "description": "row, from 0"},
        },
        _show, resources=("table:{table}",),
    ),
    writes(
        "filter_rows", "A table of the rows in which a column compares to a value.",
        {
            "table": _name("name of the table"),
            "column": _COLUMN,
            "is": {"enum": list(_COMPARE), "description": "how it compares"},
            "value": text("a text or a number", 60, examples=["100", "Bergen"]),
            "into": _INTO,
        },
        _filter, resources=_BOTH, idempotent=True,
    ),
    writes(
        "join_tables", "A table of all pairs of rows that agree in a column of each.",
        {
            "table": _name("name of the first table"),
            "column": _COLUMN,
            "with": _name("name of the second table"),
            "with_column": text("name of a column of the second", 60, examples=["id"]),
            "into": _INTO,
        },
        _join, resources=(*_BOTH, "table:{with}"), idempotent=True,
    ),
    writes(
        "aggregate", "A table with one row for each value of a column, or one for all rows.",
        {
            "table": _name("name of the table"),
            "by": text("column to group by; '' for one row", 60, default="", examples=["city"]),
            "how": {"enum": list(_AGGREGATE), "description": "what is computed"},
            "column": text("column that it is computed of", 60, examples=["amount"]),
            "into": _INTO,
        },
        _aggregate, resources=_BOTH, idempotent=True,
    ),
    writes(
        "sort_rows", "A table with its rows in the order of a column.",
        {
            "table": _name("name of the table"),
            "column": _COLUMN,
            "order": {"enum": ["ascending", "descending"], "default": "ascending"},
            "into": _INTO,
        },
        _sort, resources=_BOTH, idempotent=True,
    ),
)  # fmt: skip

COUNT = Wordings(
    training=(
        "How many orders have an amount of at least {least}?",
        "Count the orders whose amount is {least} or more.",
    ),
    held_out=("In the table of orders, how often is the amount not below {least}?",),
)
LARGEST = Wordings(
    training=(
        "Which category has the largest total amount of orders?",
        "Orders of which category add up to the most?",
    ),
    held_out=("Add up the amounts by category: which one comes first?",),
)
SPENT = Wordings(
    training=(
        "What is the total amount of the {category} orders of customers from {city}?",
        "How much did customers from {city} spend on {category} in all?",
    ),
    held_out=("Sum the amounts of {category} orders placed by people who live in {city}.",),
)
RANKING = Wordings(
    training=(
        "Make a table called ranking with two columns: each city of the customers and the total "
        "amount of its orders, largest first. Then answer.",
    ),
    held_out=(
        "I want a table named ranking that lists, from the highest total amount of orders to the "
        "lowest, city and total. Answer once it is there.",
    ),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """A count, a largest group, a sum over a join, or a table to make."""
    cities: list[str] = several(generator, CITIES, 4)
    customers: list[list[Any]] = [
        [i + 1, name, cities[i] if i < 4 else pick(generator, cities)]
        for i, name in enumerate(several(generator, NAMES, 9))
    ]
    while True:  # totals must differ, so that there is one answer
        orders: list[list[Any]] = [
            [
                100 + i,
                i + 1 if i < 9 else int(generator.integers(1, 10)),
                pick(generator, CATEGORIES),
                int(generator.integers(3, 300)),
            ]
            for i in range(40)
        ]
        home = {customer[0]: customer[2] for customer in customers}
        by_city = _totals((home[order[1]], order[3]) for order in orders)
        by_category = _totals((order[2], order[3]) for order in orders)
        if all(len(set(t.values())) == len(t) for t in (by_city, by_category)):
            break
    state: State = {
        "tables": {
            "customers": {"columns": ["id", "name", "city"], "rows": customers},
            "orders": {"columns": ["order", "customer", "category", "amount"], "rows": orders},
        }
    }
    if level == 1:
        least = int(generator.integers(50, 250))
        expected = sum(order[3] >= least for order in orders)
        steps = (_where("orders", "amount", ">=", str(least), "found"),)
        return _counted(COUNT, {"least": least}, state, steps, expected)
    if level == 2:
        largest = max(by_category, key=lambda category: by_category[category])
        steps = (
            call("aggregate", table="orders", by="category", how="sum", column="amount", into="t"),
        )
        return Problem(
            wordings=LARGEST, fields={}, state=state,
            solution=(*steps, call("answer", text=largest)),
            judge=lambda state, answer: judge_name(answer, largest, CATEGORIES),
        )  # fmt: skip
    if level == 3:
        order = pick(generator, orders)  # there is at least one
        city, category = home[order[1]], order[2]
        expected = sum(o[3] for o in orders if home[o[1]] == city and o[2] == category)
        steps = (
            _joined("both"),
            _where("both", "city", "=", city, "here"),
            _where("here", "category", "=", category, "found"),
            call("aggregate", table="found", how="sum", column="amount", into="sum"),
        )
        return _counted(SPENT, {"city": city, "category": category}, state, steps, expected)
    ranked = sorted(by_city.items(), key=lambda item: -item[1])
    wanted = [[city, total] for city, total in ranked]

    def judge(state: State, answer: str) -> str:
        made = state["tables"].get("ranking")
        return "" if made and made["rows"] == wanted else f"ranking is not {wanted}"

    steps = (
        _joined("both"),
        call("aggregate", table="both", by="city", how="sum", column="amount", into="totals"),
        call("sort_rows", table="totals", column="sum_amount", order="descending", into="ranking"),
        call("answer", text="done"),
    )
    return Problem(wordings=RANKING, fields={}, state=state, solution=steps, judge=judge)


def _totals(pairs: Any) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, amount in pairs:
        totals[name] = totals.get(name, 0) + amount
    return totals


def _joined(into: str) -> dict[str, Any]:
    arguments = {
        "table": "orders", "column": "customer", "with": "customers", "with_column": "id",
        "into": into,
    }  # fmt: skip
    return {"tool": "join_tables", "arguments": arguments}


def _where(table: str, column: str, compares: str, value: str, into: str) -> dict[str, Any]:
    arguments = {"table": table, "column": column, "is": compares, "value": value, "into": into}
    return {"tool": "filter_rows", "arguments": arguments}


def _counted(
    wordings: Wordings,
    fields: Mapping[str, Any],
    state: State,
    steps: tuple[Mapping[str, Any], ...],
    expected: int,
) -> Problem:
    return Problem(
        wordings=wordings, fields=fields, state=state,
        solution=(*steps, call("answer", text=str(expected))),
        judge=lambda state, answer: judge_number(
            answer, expected, tolerance=0.0, units={}, unit=""
        ),
    )  # fmt: skip


TABLES = Domain(
    name="tables",
    operations=OPERATIONS,
    levels=(
        Level(max_steps=8, description="count rows"),
        Level(max_steps=10, description="the largest of several sums"),
        Level(max_steps=16, description="a sum over a join and two conditions"),
        Level(max_steps=16, description="make a sorted table of sums over a join"),
    ),
    generate=generate,
)
