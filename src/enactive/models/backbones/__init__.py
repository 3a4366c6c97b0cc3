"""Backbones: images, state and instruction to features."""
