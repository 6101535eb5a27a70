"""Pictures from the simulator, which is a component of its own: started, not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_LONGEST_S = 4 * 3600.0


def draw_pictures(
    folder: Path, pictures: int, seed: int, close_share: float | None = None, width_px: int = 512
) -> Path:
    """Draw labelled pictures into ``folder``, unless it holds the same ones already; the folder.

    Args:
        close_share: how many of them show a few packs large; the simulator's own choice when None.
        width_px: of the pictures, which are 16:9.
    Raises: subprocess.CalledProcessError when the simulator fails.
    """
    recipe = f"pictures={pictures} seed={seed} close_share={close_share} width_px={width_px}"
    made = folder / "recipe.txt"
    if made.is_file() and made.read_text(encoding="utf-8") == recipe:
        return folder
    command = [
        sys.executable, "-m", "shelf_simulator", "dataset", "--out", str(folder), "--pictures", str(pictures),
        "--seed", str(seed), "--workers", str(os.cpu_count() or 1), "--width", str(width_px),
    ]  # fmt: skip
    if close_share is not None:
        command += ["--close-share", str(close_share)]
    subprocess.run(command, check=True, timeout=_LONGEST_S)
    made.write_text(recipe, encoding="utf-8")
    return folder
