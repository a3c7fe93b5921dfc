"""What outputs mean, in plain numpy: a part of each bundle's ``run.py``, one module a task."""
