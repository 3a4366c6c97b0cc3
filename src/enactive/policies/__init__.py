"""Policies: who decides. The contract is :class:`~enactive.policies.policy.Policy`."""
