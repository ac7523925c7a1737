"""Training: Lightning modules, data by person, budgets, and the model package at the end.

`fit` runs a `Recipe` on prepared cases and leaves the best weights; `medswin.training.finish.finish` fits the OOD
detectors on them, calibrates, measures and writes the package. What a neighbouring room offers (window inference) is
handed in by `medswin.config`.
"""

from medswin.training.recipe import PretrainRecipe, Recipe

__all__ = ["PretrainRecipe", "Recipe"]
