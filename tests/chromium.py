"""Which Chromium the tests drive."""

import os
import shutil


def chromium() -> str:
    """The program that CHROMIUM names, or the system's, without windows of its own if it can be."""
    names = (os.environ.get("CHROMIUM"), "chromium-headless-shell", "chromium")
    found = (shutil.which(name) for name in names if name)
    return next((path for path in found if path), "/usr/bin/chromium")
