"""What runs inside the bubblewrap sandbox. Nothing here needs more than the standard library."""
