"""What differs between classification and detection; stages know no task by name."""

from pipeline.tasks.accuracy import Accuracy
from pipeline.tasks.labels import Labels
from pipeline.tasks.task import Task, agreement

__all__ = ["Accuracy", "Labels", "Task", "agreement"]
