"""A reader of everything: writes each message it gets as a line ``[topic, payload]``. HOST PORT STORE IDENTITY FILE."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

from shelf_contracts.topics import everything
from shelf_mqtt.session import BrokerAddress, MqttSession, Received


def main() -> None:
    host, port, store, identity, file = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Path(file).open("a", buffering=1) as out:

        def came(one: Received) -> None:
            out.write(json.dumps([one.topic, one.payload.decode(errors="replace")]) + "\n")

        address = BrokerAddress(host, int(port), identity=Path(identity))
        session = MqttSession(address, client_id="eye", subscriptions=[(everything(store), 1)], on_message=came)
        session.start()
        stop.wait()
        session.stop()


if __name__ == "__main__":
    main()
