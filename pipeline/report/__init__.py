"""The report: a record, and its renderings, each a function of the record alone."""

from pipeline.report.record import Report, StageRow

__all__ = ["Report", "StageRow"]
