"""Actions: what can be done. Spaces with conventions, conversions, action tokens and chains."""
