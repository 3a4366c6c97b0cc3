"""What an import brings along: `import enactive` and `enactive --help` stay light."""

from __future__ import annotations

import importlib.metadata
import pkgutil
import subprocess
import sys

import pytest

import enactive

HEAVY = ("torch", "transformers", "mujoco", "metaworld", "gymnasium", "pyarrow", "av", "scipy")


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after ``code``."""
    program = f"import sys\n{code}\nprint(*sorted(n for n in sys.modules if '.' not in n))"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(output.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert modules_after("import enactive").isdisjoint({*HEAVY, "numpy", "pydantic", "tyro"})


def test_help_loads_nothing_heavy() -> None:
    code = "from enactive.cli import main\nmain(['--help'])"
    assert modules_after(code).isdisjoint({*HEAVY, "tyro", "rich"})


@pytest.mark.parametrize(
    "module",
    ["enactive.actions.spaces", "enactive.actions.chain", "enactive.worlds.world",
     "enactive.episodes", "enactive.evaluation", "enactive.policies.policy"],
)  # fmt: skip
def test_the_vocabulary_needs_no_torch(module: str) -> None:
    assert modules_after(f"import {module}").isdisjoint({"torch", "transformers", "mujoco"})


def test_every_module_imports_without_side_effects_on_random_state() -> None:
    """Importing changes neither NumPy's nor Python's global generators, nor torch's threads."""
    pytest.importorskip("torch")
    names = [
        info.name
        for info in pkgutil.walk_packages(enactive.__path__, "enactive.")
        if not info.name.endswith("__main__")
    ]
    code = "\n".join(
        [
            "import random, numpy, torch, importlib",
            "import rich.style",  # it draws one number when it is imported
            "before = random.getstate(), numpy.random.get_state()[1].tobytes()",
            "drawn, threads = torch.initial_seed(), torch.get_num_threads()",
            f"for name in {names!r}: importlib.import_module(name)",
            "assert before == (random.getstate(), numpy.random.get_state()[1].tobytes())",
            "assert drawn == torch.initial_seed() and threads == torch.get_num_threads()",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_the_distributions() -> None:
    assert importlib.metadata.version("enactive") == enactive.__version__


def test_the_core_works_without_the_extras() -> None:
    """Recording, reading, statistics and reports need no PyTorch; the rest says what to install."""
    code = "\n".join(
        [
            "class Missing:",
            "    def find_spec(self, name, path=None, target=None):",
            "        if name in ('torch', 'transformers', 'safetensors', 'metaworld', 'mujoco'):",
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)",
            "sys.meta_path.insert(0, Missing())",
            "import enactive.episodes.loader, enactive.episodes.compaction",
            "import enactive.evaluation.rollouts, enactive.evaluation.replay",
            "import enactive.evaluation.report.write, enactive.worlds.pool, enactive.worlds.checks",
            "from enactive.cli import main",
            "assert main(['info']) == 0",
            "assert main(['evaluate', '--power']) == 0",
            "assert main(['train', 'data', '--out', 'run']) == 2",
        ]
    )
    command = [sys.executable, "-c", f"import sys\n{code}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "train: needs the package 'torch': pip install 'enactive[train]'" in result.stderr
