"""Losses by which a classifier learns from what its teachers say, one file each."""
