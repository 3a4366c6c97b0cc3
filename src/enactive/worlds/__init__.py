"""Worlds: what executes actions. The contract is :class:`~enactive.worlds.world.World`."""
