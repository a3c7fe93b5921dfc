"""Object detection: boxes with a class and a score."""
