"""Whether an answer in words says the right thing: numbers with units, names, and nothing more.

An answer may be a sentence. It is right if it says the expected thing and no rival of it: one
number, in the unit that was asked for if it names one; or one name out of those that could have
been meant. An answer that names two candidates is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

_NUMBER = re.compile(
    r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\d|,\d)"
)


def numbers(answer: str) -> list[float]:
    """The numbers that a text holds, commas between thousands allowed."""
    found = _NUMBER.findall(answer)
    return [float(one.replace(",", "").replace("−", "-")) for one in found]


def judge_number(
    answer: str, expected: float, *, tolerance: float, units: Mapping[str, str], unit: str
) -> str:
    """What is wrong with an answer that should be one number.

    Args:
        answer: as it was given.
        expected: the right value.
        tolerance: largest relative error; 0 for whole numbers, which must be met exactly.
        units: every way to write a unit to the unit's name, e.g. ``{"km": "kilometre"}``.
        unit: name of the unit that was asked for; empty where there is none.
    """
    found = numbers(answer)
    if len(found) != 1:
        return f"the answer holds {len(found)} numbers, not one"
    if not math.isclose(found[0], expected, rel_tol=tolerance, abs_tol=1e-12):
        return f"the answer says {found[0]:g}, not {expected:g}"
    words = re.sub(_NUMBER, " ", answer.casefold())
    named = {units[word] for word in re.findall(r"[a-z']+", words) if word in units}
    if named - {unit}:
        return f"the answer is in {', '.join(sorted(named - {unit}))}, not {unit or 'units'}"
    return ""


def judge_name(answer: str, expected: str, names: Collection[str]) -> str:
    """What is wrong with an answer that should be one of ``names``."""
    said = plain(answer)
    others = [
        name
        for name in names
        if plain(name) != plain(expected)
        and _says(said, plain(name))
        and not _says(plain(expected), plain(name))
    ]
    if not _says(said, plain(expected)):
        return f"the answer does not say {expected!r}"
    return f"the answer also says {', '.join(sorted(others))}" if others else ""


def plain(words: str) -> str:
    """Lower case, one space between words, no punctuation."""
    return " ".join(re.findall(r"\w+", words.casefold()))


def _says(said: str, name: str) -> bool:
    return bool(name) and f" {name} " in f" {said} "
