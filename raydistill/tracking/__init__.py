"""The copy of jobs and results in MLflow."""
