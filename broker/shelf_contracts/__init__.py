"""The contract: ids, planogram, messages, topics. Pure; imported by every component."""
