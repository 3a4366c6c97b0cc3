"""Policies over the network: servers that others' harnesses call, and clients of others' servers."""
