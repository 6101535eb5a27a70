"""Everything dies at random, and nothing may be lost: broker, collector and nodes under faults."""
