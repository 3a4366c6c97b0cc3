"""Screens: a real browser that executes screen actions, and the ways of looking at it."""
