"""Two bundles side by side: measured until they can be judged, judged, told."""
