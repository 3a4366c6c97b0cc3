"""Models: everything with parameters. Importing this package does not import PyTorch."""
