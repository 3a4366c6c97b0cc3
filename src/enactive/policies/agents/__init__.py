"""Planners: policies that act through tools, programs and screens by asking language models."""
