"""Selection: which of the predicted actions is executed. One part per file, all off by default."""
