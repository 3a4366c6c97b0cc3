"""Enactive: a workbench for models that act.

From an instruction and an observation a policy produces a chain of action tokens that ends in an
executable action; a world executes it; the episode is recorded and can be replayed bit for bit.
Importing this package is cheap: PyTorch and the simulators load when a part that needs them does.
"""

__version__ = "0.1.0"
