"""Policies over the network: servers for others' harnesses, clients of others' servers."""
