"""The peer of ``smartshelf bench edge``: YOLO11n by ultralytics, as its documentation says to run an exported model.

Runs in the training environment: python -m shelf_models.bench_ultralytics export FOLDER | first MODEL | run MODEL N
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    from shelf_models.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    import numpy as np
    from ultralytics import YOLO

    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "export":
        exported = YOLO("yolo11n.yaml").export(format="onnx", verbose=False, project=str(where))
        target = where / "yolo11n.onnx"
        Path(exported).replace(target)
        sys.stdout.write(json.dumps({"model": str(target)}) + "\n")
        return
    model = YOLO(str(where), task="detect")
    frame = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    model.predict(frame, verbose=False)
    frames = int(sys.argv[3]) if what == "run" else 0
    began_s = time.perf_counter()
    for _ in range(frames):
        model.predict(frame, verbose=False)
    per_s = frames / (time.perf_counter() - began_s) if frames else 0.0
    peak_mb = _peak_mb()
    sys.stdout.write(json.dumps({"rss_mb": round(peak_mb, 1), "frames_per_s": round(per_s, 2)}) + "\n")


def _peak_mb() -> float:
    """The most this process held. On Linux not ``ru_maxrss``, which begins with what its parent held."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
