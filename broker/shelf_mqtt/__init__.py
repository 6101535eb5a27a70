"""The MQTT session shared by the node, the collector and every other client: over paho-mqtt, MQTT 5 or 3.1.1."""
