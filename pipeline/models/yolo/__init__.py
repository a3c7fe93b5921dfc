"""YOLO detectors of our own, from the papers: named ``yolo/NAME``, of torchvision's detection interface."""
