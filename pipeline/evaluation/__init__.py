"""What a deployed model answers on a split, computed in a process of its own."""

from pipeline.evaluation.outputs import collect_outputs

__all__ = ["collect_outputs"]
