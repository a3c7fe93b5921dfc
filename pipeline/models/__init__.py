"""Networks: where they come from, what weights they start with, and how they are stored without pickle."""

from pipeline.models.source import ModelSource, WeightsSource

__all__ = ["ModelSource", "WeightsSource"]
