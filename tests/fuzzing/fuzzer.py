"""Sends requests that schemathesis makes of the OpenAPI, and checks what comes back."""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given
from hypothesis import seed as seeded
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

__all__ = ["Fuzzer", "Person"]

CHECKS: tuple[CheckFunction, ...] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
)
TIMEOUT_SEC = 30
# Of ten requests with an id in the path, how many name one's own, and another's.
OWN, FOREIGN = 4, 2
# Of ten requests, how many are sent without a token.
NAMELESS = 1


@dataclass(frozen=True)
class Person:
    """Who sends requests: a token, and ids of what is theirs, by parameter."""

    token: str
    ids: Mapping[str, str]


@dataclass
class Fuzzer:
    """Sends cases as somebody, whose answers must never show `secrets` of somebody else."""

    schema: Any
    base_url: str
    person: Person
    other: Person
    secrets: tuple[str, ...]
    # A token for a request that ends its own.
    new_token: Callable[[], str]
    seed: int
    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    findings: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._session = requests.Session()
        self._session.trust_env = False
        self._impossible: set[tuple[str, GenerationMode]] = set()

    def run(self, cases: int) -> None:
        """Send so many cases, spread over all operations."""
        operations = [result.ok() for result in self.schema.get_all_operations()]
        round_number = 0
        while (left := cases - self.sent.total()) > 0:
            # An operation that has few variants leaves its share to the others.
            share = max(1, left // (2 * len(operations)))
            before = self.sent.total()
            for operation in operations:
                for mode in GenerationMode:
                    if (operation.label, mode) in self._impossible:
                        continue
                    self._send_all(operation, mode, share, round_number)
                    if self.sent.total() >= cases:
                        return
            assert self.sent.total() > before, "no operation takes any case"
            round_number += 1

    def _send_all(
        self, operation: Any, mode: GenerationMode, cases: int, round_number: int
    ) -> None:
        @seeded(hash_of(self.seed, operation.label, mode, round_number))
        @hypothesis_settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self.send(case)

        try:
            send()
        except Unsatisfiable:
            # Nothing that this operation takes can be wrong.
            self._impossible.add((operation.label, mode))

    def send(self, case: Any) -> None:
        """Send one case; note what is wrong with the answer."""
        label = case.operation.label
        headers = self._prepare(case)
        started = time.monotonic()
        self.sent[label] += 1
        try:
            response = case.call(
                base_url=self.base_url, session=self._session, headers=headers, timeout=TIMEOUT_SEC
            )
        except requests.RequestException as error:
            seconds = time.monotonic() - started
            self._note(
                label, f"{type(error).__name__} after {seconds:.1f} s", case.as_curl_command()
            )
            return
        self.statuses[response.status_code] += 1
        self._check(case, response)

    def _prepare(self, case: Any) -> dict[str, str]:
        # What is wrong with a case may be its path.
        is_right = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
        for name in case.path_parameters or {} if is_right else ():
            drawn = self._random.randrange(10)
            if drawn < OWN and name in self.person.ids:
                case.path_parameters[name] = self.person.ids[name]
            elif drawn < OWN + FOREIGN and name in self.other.ids:
                case.path_parameters[name] = self.other.ids[name]
        if self._random.randrange(10) < NAMELESS:
            return {"Authorization": "Bearer nobody's"}
        token = self.person.token
        if case.operation.label in ("DELETE /v1/me", "POST /v1/logout"):
            token = self.new_token()
        return {"Authorization": f"Bearer {token}"}

    def _check(self, case: Any, response: Response) -> None:
        label = case.operation.label
        text = response.content.decode("utf-8", "replace")
        for secret in self.secrets:
            if secret in text:
                self._note(label, f"shows {secret!r}, which is another's")
        try:
            case.validate_response(response, checks=list(CHECKS))
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(label, f"{type(failure).__name__}: {failure.title}", str(group))

    def _note(self, label: str, problem: str, details: str = "") -> None:
        if (label, problem) not in self.findings:
            # A long run need not be waited for.
            sys.stderr.write(f"{label}: {problem}\n{details}\n")
        self.findings[label, problem] = details

    def report(self) -> Iterator[str]:
        """Say what was sent, and what was found."""
        yield f"{self.sent.total()} cases over {len(self.sent)} operations, seed {self.seed}"
        yield "statuses: " + ", ".join(f"{s}: {n}" for s, n in sorted(self.statuses.items()))
        yield from (f"{label}: {problem}" for label, problem in self.findings)


def hash_of(*parts: object) -> int:
    """A number that is the same in every run."""
    return random.Random(repr(parts)).getrandbits(64)
