"""What Prometheus gets when it asks."""

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families


def scrape(client: Client, **headers: str) -> dict[tuple[str, ...], float]:
    """Samples of ``/metrics`` by name and label values."""
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
