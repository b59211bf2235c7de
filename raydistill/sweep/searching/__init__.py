"""Hyperparameter search: Optuna suggests values, Ray Tune trains the jobs."""
