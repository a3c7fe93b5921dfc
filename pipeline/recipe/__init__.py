"""The recipe: everything that decides a run, parsed once at the edge into immutable records."""

from pipeline.recipe.reading import read_recipe
from pipeline.recipe.records import DataSection, GoalSection, InputSection, MeasureSection, Recipe

__all__ = ["DataSection", "GoalSection", "InputSection", "MeasureSection", "Recipe", "read_recipe"]
