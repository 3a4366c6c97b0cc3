"""A regular package, so that no installed package that also calls its tests ``tests`` hides it."""
