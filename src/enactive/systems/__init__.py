"""Published systems, each in one file: how its parts go together, and its claim."""
