"""Defects as pipelines have had them, each made in a copy of what a sound run left."""
