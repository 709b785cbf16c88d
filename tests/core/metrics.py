"""Reading what /metrics tells."""

import httpx2
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Scrape", "read", "scrape"]

# Values by a sample's name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Parse Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(client: httpx2.AsyncClient) -> "Scrape":
    """Ask for what is counted just now."""
    return Scrape(read((await client.get("/metrics")).text))


class Scrape:
    """What /metrics told at one time."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def value(self, name: str, **labels: str) -> float:
        """Return a sample's value; 0 where there is none yet."""
        return self.samples.get((name, frozenset(labels.items())), 0)

    def since(self, before: "Scrape", name: str, **labels: str) -> float:
        """Return by how much it has grown: other tests of this process are counted, too."""
        return self.value(name, **labels) - before.value(name, **labels)
