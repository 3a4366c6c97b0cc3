"""Planners: policies that ask a language model, and the algebra in which their steps compose."""
