"""Training: one trainer for every model. Importing this package does not import PyTorch."""
