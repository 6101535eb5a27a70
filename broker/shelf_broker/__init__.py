"""The broker a shop starts with one command: NATS from its wheel, or the Mosquitto that is installed."""
