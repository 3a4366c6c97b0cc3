"""A MuJoCo tabletop of our own, for controlled questions that benchmarks cannot ask."""
