"""The runtime of agents: decide, validate, check, journal, execute, journal, observe."""
