"""COCO's evaluation, with what Pascal VOC calls difficult."""

from __future__ import annotations

from typing import Any

from pycocotools.cocoeval import COCOeval

__all__ = ["CocoEvaluation"]


class CocoEvaluation(COCOeval):  # type: ignore[misc] # pycocotools has no types
    """Holds a detection against a difficult object by intersection over union, as against any other one.

    Else such an object is what COCO calls a crowd: it need not be found, and any number of detections of it count for
    nothing. That is VOC's rule. Source: the VOC2012 development kit, ``VOCevaldet.m``.

    Every object of the truth says whether it is ``difficult``; those that are have ``iscrowd`` 1.
    """

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: ANN401, N802, N803 - as pycocotools has it
        """Of the detections and objects of one image and class, (detections, objects)."""
        difficult = [one for one in self._gts[imgId, catId] if one["difficult"]]
        for one in difficult:
            one["iscrowd"] = 0
        found = super().computeIoU(imgId, catId)
        for one in difficult:
            one["iscrowd"] = 1
        return found
