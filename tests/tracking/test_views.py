"""The views that MLflow's UI opens, as tags of an experiment, and the names of metrics in them."""

import json

from raydistill.tracking.naming import metric_name
from raydistill.tracking.views import JOBS, METHODS, View, address, metrics_of


def state_of(view):
    name, value = view.to_tag()
    return name, json.loads(json.loads(value)["state"])


def test_view_sorts_by_its_first_metric_and_shows_its_columns_in_order():
    view = View("jobs", "Jobs", "tags.jobs_of = 'x'", [("params", "method"), ("metrics", "R2"), ("tags", "stage")])
    name, state = state_of(view)
    assert name == "mlflow.sharedViewState.jobs"
    assert (state["orderByKey"], state["orderByAsc"], state["searchFilter"]) == (
        "metrics.`R2`",
        False,
        "tags.jobs_of = 'x'",
    )
    assert state["selectedColumns"] == ["params.`method`", "metrics.`R2`", "tags.`stage`"]
    assert state["columnOrder"][-3:] == state["selectedColumns"]


def test_view_of_more_columns_than_a_tag_can_hold_keeps_the_first():
    view = View("methods", "Methods", "", metrics_of(["R2", *(f"R2 session_{i:04}" for i in range(2000))]))
    assert len(view.to_tag()[1]) <= 5000
    columns = state_of(view)[1]["selectedColumns"]
    assert columns[:2] == ["metrics.`R2`", "metrics.`R2 session_0000`"] and len(columns) > 20


def test_address_leads_to_the_methods_and_before_they_are_known_to_the_jobs():
    methods, jobs = (View(key, key, "", [("metrics", "R2")]).to_tag() for key in (METHODS, JOBS))
    runs = "/#/experiments/7/runs?workflowType=machine_learning"
    assert address("7", dict([methods, jobs])) == f"{runs}&viewStateShareKey=methods"
    assert address("7", dict([jobs])) == f"{runs}&viewStateShareKey=jobs"
    assert address("7", {}) == runs


def test_names_of_metrics_sort_r2_before_sizes_training_and_durations():
    keys = ["seconds", "train_loss", "r2", "n_test", "epoch", "valid_r2", "steps_s", "R2 velocity_x", "tokens_per_s"]
    keys += ["signals/next bin: bits per spike", "R2 validation with 8", "states"]
    assert sorted(map(metric_name, keys), key=str.lower) == [
        "R2",
        "R2 validation",
        "R2 validation with 8",
        "R2 velocity_x",
        "signals/next bin: bits per spike",
        "size/n_test",
        "training/epoch",
        "training/states",
        "training/train_loss",
        "wall time/seconds",
        "wall time/steps_s",
        "wall time/tokens_per_s",
    ]
