"""The one training loop, and the images it reads."""

from pipeline.training.images import TrainingImages
from pipeline.training.loop import train
from pipeline.training.schedule import Schedule

__all__ = ["Schedule", "TrainingImages", "train"]
