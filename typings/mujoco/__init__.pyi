"""MuJoCo's bindings carry no types: what comes from them is given one where it enters."""

from typing import Any

def __getattr__(name: str) -> Any: ...
