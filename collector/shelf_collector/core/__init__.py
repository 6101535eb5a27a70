"""Pure: messages and the time in, facts out. No I/O, no clock, no thread, no randomness."""
