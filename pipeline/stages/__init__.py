"""The stages that work on the network itself, and its calibration."""
