"""Pure: geometry, designs, bodies, the world and its score. No I/O, clock or thread; randomness is seeded."""
