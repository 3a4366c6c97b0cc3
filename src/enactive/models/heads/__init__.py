"""Heads: features to action chunks."""
