"""The demo: a small shop made of real processes, and the measurement of it."""
