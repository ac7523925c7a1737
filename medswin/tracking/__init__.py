"""Experiment tracking with MLflow: a local SQLite file by default, a server by its URI.

Nothing that identifies a patient goes in: cases by the names their data set gives them, numbers, and pictures.
"""

from medswin.tracking.run import NoTracker, Tracker, flatten, open_run

__all__ = ["NoTracker", "Tracker", "flatten", "open_run"]
