"""The ``enactive`` command. One file per command; a command's imports happen when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import enactive
from enactive.cli.mistakes import UserError, explain_missing_module
from enactive.registry import suggest

COMMANDS = {
    "demo": "collect, train, evaluate and report on Meta-World, a few minutes on two cores",
    "libero": "does a policy listen? LIBERO-Object with controls, from states",
    "collect": "record demonstrations of a world's expert into a LeRobot v3 dataset",
    "train": "train a policy on one or more datasets",
    "evaluate": "roll a policy out on unseen seeds; success rates with intervals",
    "agent": "let a language model do a task with tools; every step is in a log",
    "serve": "serve a policy to clients of openpi or to vla-eval",
    "compare": "compare evaluations on the same episodes: is the difference real?",
    "trial": "compare two policies live, registered first, stopped once it is decided",
    "blind": "evaluate policies under aliases, revealed last, with a log that proves it",
    "claim": "run the experiment that tests a published system's statement; write its verdict",
    "systems": "what each published system is made of, claims, and what came out",
    "trace": "read an agent's episode as a timeline, in the terminal or as a page",
    "replay": "execute recorded episodes again and compare every bit",
    "fork": "go on from any step of a recorded episode",
    "report": "write evaluations as one HTML file with plots and videos",
    "check": "check a world against its contract, or a dataset against its format",
    "info": "what is installed, or what a dataset, run or evaluation holds",
}
"""Command to its line in ``enactive --help``. The module ``enactive.cli.<command>`` has
``read(words)``, which makes typed arguments of the words after the command and starts nothing, and
``run(arguments)``, which does the work and returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: the words after ``enactive``; by default those of this process.

    Returns:
        0 on success, 1 when a check or comparison of bits failed, 2 for a mistake in what was
        asked, 130 when interrupted, 141 when nobody reads the output any more.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"enactive {enactive.__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS:
        return _complain(f"no command is called {command!r}; {suggest(command, COMMANDS)}")
    try:
        module = importlib.import_module(f"enactive.cli.{command}")
        return int(module.run(module.read(rest)))
    except UserError as error:
        return _complain(f"{command}: {error}")
    except ModuleNotFoundError as error:
        explanation = explain_missing_module(error)
        if explanation is None:
            raise
        return _complain(f"{command}: {explanation}")
    except BrokenPipeError:
        # Whoever read our output, `head` say, has seen enough. Nothing may be flushed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130


def usage() -> str:
    """The text of ``enactive --help``."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return f"""usage: enactive COMMAND [OPTIONS]

A workbench for models that act.

commands:
{commands}

From nothing to a measured policy in one command, or step by step:
  enactive demo --out runs/demo
  enactive collect --tasks drawer-open button-press --episodes 20 --out runs/demos
  enactive train runs/demos --head flow_matching --out runs/policy
  enactive evaluate runs/policy --episodes 20 --out runs/evaluation
  enactive report runs/evaluation

Every command says more with --help, and goes on where it stopped when it is run again."""


def _complain(message: str) -> int:
    print(f"enactive: {message}", file=sys.stderr)
    return 2
