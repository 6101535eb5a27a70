"""Pure: frames and time in, facts out. No I/O, clock, thread or randomness."""
