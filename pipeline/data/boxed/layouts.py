"""Where annotations of boxes are looked for, as messages say it."""

__all__ = ["LAYOUTS"]

LAYOUTS = (
    "COCO's JSON (annotations/*.json, <part>/*.json or beside the images' folder), YOLO's texts (labels/<part>/*.txt "
    "or <part>/labels/*.txt, with a data.yaml or classes.txt), or Pascal VOC's XML (Annotations/*.xml or <part>/*.xml)"
)
