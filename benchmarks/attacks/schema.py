# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# (Schemathesis declares its types in part)
"""Requests that Schemathesis makes from the service's own OpenAPI description."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from attacks.trial import HANG_SECONDS, Trial

_EXAMPLES = 10  # of an operation at a time


def schema_trials(port: int, random: Random) -> Iterator[Trial]:
    """Requests by the schema and against it; none if Schemathesis is not installed."""
    try:
        import schemathesis
    except ImportError:
        print("no requests from the schema: pip install -c constraints.txt '.[dev]'")
        return
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    while True:
        operation = random.choice(operations)
        mode = random.choice(list(GenerationMode))
        for case in _cases(operation.as_strategy(generation_mode=mode), random):
            what = f"{mode.value} by the schema: {operation.label}"
            try:
                response = case.call(timeout=HANG_SECONDS)
            except OSError as error:  # of requests, too
                yield Trial(f"{what} {_shown(case)}", f"{type(error).__name__}")
                continue
            try:
                case.validate_response(response, excluded_checks=_excluded(operation, response))
            except FailureGroup as group:
                why = "; ".join(str(each).splitlines()[0] for each in group.exceptions)
                yield Trial(f"{what} {_shown(case)}", f"{response.status_code}: {why}")
            else:
                yield Trial(what)


def _cases(strategy: Any, random: Random) -> list[Any]:
    from hypothesis import HealthCheck, Phase, configuration, given, seed, settings
    from hypothesis.errors import Unsatisfiable

    found: list[Any] = []
    # its tables of characters would stand in the current directory
    configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

    @seed(random.getrandbits(32))
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(strategy)
    def collect(case: Any) -> None:
        found.append(case)

    try:
        collect()
    except Unsatisfiable:  # nothing violates the schema of a request without fields
        return []
    return found


def _excluded(operation: Any, response: Any) -> list[Any]:
    """The checks that do not apply."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        negative_data_rejection,
        positive_data_acceptance,
    )

    excluded: list[Any] = []
    if response.status_code == 413:  # a body that is too large, whatever it says
        excluded.append(negative_data_rejection)
    if operation.path in ("/v1/fill", "/v1/inspect", "/v1/translate"):
        # no schema says that a text has a blank, that it is as short as the model's limit, or that
        # options go together
        excluded.append(positive_data_acceptance)
    if response.status_code == 503:
        excluded.append(not_a_server_error)
    return excluded


def _shown(case: Any) -> str:
    return case.as_curl_command()[:500]
