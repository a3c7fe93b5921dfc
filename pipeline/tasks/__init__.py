"""What differs between classification and detection; stages know no task by name."""

from pipeline.tasks.task import Accuracy, Task

__all__ = ["Accuracy", "Task"]
