"""Questions about tabletop scenes and episodes, as a world of episodes that are one answer long."""
