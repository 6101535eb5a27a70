"""How fast: measured runs of the demo shop in a real browser."""
