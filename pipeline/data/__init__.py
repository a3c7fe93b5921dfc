"""Reading data: a folder, an embedded set, a torchvision set; always as files with hashes and a fixed class order."""

from pipeline.data.dataset import Dataset, Sample

__all__ = ["Dataset", "Sample"]
