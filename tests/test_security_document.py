"""SECURITY.md names the test of each claim."""

import re

from settings import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+\.py)`", TEXT))

    assert len(named) > 20
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_claim_names_what_shows_it() -> None:
    table = TEXT.partition("## What is done")[2].partition("## What is not")[0]
    claims = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(claims) > 12
    assert [line for line in claims if "`tests/" not in line and "`make " not in line] == []
