"""What differs between classification and detection; stages know no task by name."""

from pipeline.tasks.task import Accuracy, Labels, Task, agreement

__all__ = ["Accuracy", "Labels", "Task", "agreement"]
