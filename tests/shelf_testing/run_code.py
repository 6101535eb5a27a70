"""Runs the code given as argument: for a test network, whose hosts start Python modules."""

import sys

exec(sys.argv[1])
