"""What differs between classification and detection; stages know no task by name."""

from pipeline.tasks.task import Accuracy, Task, agreement

__all__ = ["Accuracy", "Task", "agreement"]
