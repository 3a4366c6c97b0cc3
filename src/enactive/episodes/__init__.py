"""Recording, storing and reading episodes.

A running episode goes step by step into a :class:`~enactive.episodes.journal.Journal`;
:func:`~enactive.episodes.compaction.compact` makes a LeRobotDataset v3 of the finished ones, which
:class:`~enactive.episodes.dataset.Dataset` reads like anyone else's.
"""
