"""A whole shop for a long time: does anything grow that should not?"""
