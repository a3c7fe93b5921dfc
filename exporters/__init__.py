"""Targets: how a calibrated network becomes what a runtime loads, and the bundle that goes to the device."""
