"""The world, wrapped: cameras, models, files, MQTT."""
