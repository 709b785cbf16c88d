"""What is counted and measured, in Prometheus' terms; docs/operations.md explains each.

Labels have few values: no ids, nobody's words. Under gunicorn, where several processes serve,
prometheus_client keeps them in files that all of them can read: `PROMETHEUS_MULTIPROC_DIR`, which
settings/gunicorn.conf.py sets before anything imports this.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from app.core.stages import Timed, listen

__all__ = [
    "ANSWERS",
    "CITATIONS",
    "COST",
    "INDEX_LAG_CHANGES",
    "INDEX_LAG_SECONDS",
    "JOB_RUNS",
    "LLM_CALLS",
    "LOOP_LAG",
    "POOL_IN_USE",
    "POOL_SIZE",
    "POOL_WAITING",
    "REGISTRY",
    "RELEVANCE",
    "REQUESTS",
    "REQUEST_SECONDS",
    "STREAMS",
    "TOKENS",
    "measure_stages",
]

# When each series began would be as many series more, and under gunicorn there are none anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()

# Streams take as long as their answers.
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
QUESTION_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
DOCUMENT_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600)
RATIO_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

REQUESTS: Final = Counter(
    "brag_http_requests_total",
    "Requests that have ended",
    ["method", "route", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "brag_http_request_duration_seconds",
    "From a request to the end of its response",
    ["method", "route"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
STREAMS: Final = Gauge(
    "brag_streams_open",
    "Streams of server-sent events that are open",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
QUESTION_SECONDS: Final = Histogram(
    "brag_question_stage_duration_seconds",
    "Stages of a question",
    ["stage"],
    buckets=QUESTION_BUCKETS,
    registry=REGISTRY,
)
DOCUMENT_SECONDS: Final = Histogram(
    "brag_document_stage_duration_seconds",
    "Stages of a document",
    ["stage"],
    buckets=DOCUMENT_BUCKETS,
    registry=REGISTRY,
)
LLM_CALLS: Final = Gauge(
    "brag_llm_calls_in_progress",
    "Calls of language models under way",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
TOKENS: Final = Counter(
    "brag_tokens_total", "Tokens of language models", ["model", "kind"], registry=REGISTRY
)
COST: Final = Counter(
    "brag_cost_total", "What they have cost, by OPENAI_PRICES", ["model"], registry=REGISTRY
)
RELEVANCE: Final = Histogram(
    "brag_retrieval_relevance_ratio",
    "How likely what was found answers the question",
    buckets=RATIO_BUCKETS,
    registry=REGISTRY,
)
ANSWERS: Final = Counter(
    "brag_answers_total", "Answers by how they ended", ["status"], registry=REGISTRY
)
CITATIONS: Final = Counter(
    "brag_citations_total", "Citations in answers, by result", ["result"], registry=REGISTRY
)
JOB_RUNS: Final = Counter(
    "brag_job_runs_total", "Runs of jobs, by outcome", ["task", "outcome"], registry=REGISTRY
)
POOL_SIZE: Final = Gauge(
    "brag_database_pool_size",
    "Connections that the pool may have",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_IN_USE: Final = Gauge(
    "brag_database_pool_in_use",
    "Connections that are used",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
POOL_WAITING: Final = Gauge(
    "brag_database_pool_waiting",
    "Calls that wait for a connection",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
LOOP_LAG: Final = Histogram(
    "brag_event_loop_lag_seconds",
    "How much later than due the event loop gets to something",
    buckets=LAG_BUCKETS,
    registry=REGISTRY,
)
# Of several replicas, that of the one which lags most.
INDEX_LAG_CHANGES: Final = Gauge(
    "brag_index_lag_changes",
    "Changes that the index has yet to follow",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
INDEX_LAG_SECONDS: Final = Gauge(
    "brag_index_lag_seconds",
    "Since the first of them waits",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)

_OF_STAGES: Final = {"question": QUESTION_SECONDS, "document": DOCUMENT_SECONDS}


def measure_stages() -> None:
    """Put the stages of this process into their histograms from now on."""
    listen(_observe)


def _observe(timed: Timed) -> None:
    kind, _, name = timed.name.partition(".")
    _OF_STAGES[kind].labels(name).observe(timed.seconds)
