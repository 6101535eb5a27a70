"""The world: database, broker, web. Only these import such libraries."""
