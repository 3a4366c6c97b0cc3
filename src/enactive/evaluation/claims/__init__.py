"""Executable claims: an experiment declared in one file, run resumably, and judged."""
