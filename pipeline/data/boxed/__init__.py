"""Folders of images with boxes: one module a format, and what they share."""
