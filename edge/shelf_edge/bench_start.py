"""One detection with the shipped path, or as many as are asked for; prints peak memory and frames a second as JSON.

Usage: python -m shelf_edge.bench_start MODEL [FRAMES]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    import cv2
    import numpy as np

    from shelf_edge.adapters.detector_onnx import OnnxDetector
    from shelf_edge.adapters.model_folder import locate_model
    from shelf_edge.adapters.pictures import read_picture

    located = locate_model(Path(sys.argv[1]))
    golden = located.manifest.golden
    assert golden is not None, "asked before this process was started"
    detector = OnnxDetector(located, threads=1)
    read = read_picture(located.onnx.parent / golden.picture)
    picture = np.asarray(cv2.resize(read, (1280, 720)), np.uint8)
    detector.detect(picture)
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began_s = time.perf_counter()
    for _ in range(frames):
        detector.detect(picture)
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
