"""Detectors as they are deployed: static shapes, a fixed number of candidates, no shape that depends on values."""

from pipeline.tasks.detection.deployable.agreement import candidates_differ
from pipeline.tasks.detection.deployable.form import OUTPUTS, deployable
from pipeline.tasks.detection.deployable.post_process import PostProcess, post_process

__all__ = ["OUTPUTS", "PostProcess", "candidates_differ", "deployable", "post_process"]
