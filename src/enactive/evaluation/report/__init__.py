"""Reports: one HTML file that needs nothing else, with pictures first, and its numbers as JSON."""
