"""The dashboard and the alert rules speak of metrics and labels that there are."""

import json
import re
from typing import Any

import pytest
import yaml

from settings import ROOT
from tests.core.test_metrics import documented

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "brag.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())

EXPRESSIONS = [
    (panel["title"], target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
] + [(rule["alert"], rule["expr"]) for group in RULES["groups"] for rule in group["rules"]]
# What Prometheus adds to every series, and to buckets.
ADDED = {"instance", "le"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}


def told() -> dict[str, set[str]]:
    """Return the labels of all series by their names."""
    return {
        f"{name}{suffix}": labels | ADDED
        for name, (kind, labels) in documented().items()
        for suffix in SUFFIXES[kind]
    }


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_every_expression_names_series_and_labels_that_there_are(
    title: str, expression: str
) -> None:
    series = told()
    names = re.findall(r"\bbrag_\w+", expression)

    assert names
    assert set(names) <= series.keys()
    allowed = set.union(*(series[name] for name in names))
    labels = set(re.findall(r"(\w+)=~?\"", expression))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        labels |= set(re.split(r",\s*", grouped))
    assert labels <= allowed
    # Counters are of use as rates only.
    for name in names:
        if name.endswith(("_total", "_bucket")):
            assert re.search(rf"rate\(\s*{name}(\{{[^}}]*\}})?\[", expression), name


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in EXPRESSIONS)

    assert [name for name in documented() if name not in shown] == []


def test_panels_do_not_overlap_and_each_has_an_id_of_its_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    taken = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(set(ids)) == len(ids)
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_every_alert_says_how_bad_it_is_and_is_explained() -> None:
    explained = (ROOT / "docs" / "operations.md").read_text()
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["annotations"].keys() == {"summary", "description"}
            assert f"`{rule['alert']}`" in explained
