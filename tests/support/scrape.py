"""Read a worker's metrics as Prometheus does."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from support.patience import patient

Samples = dict[str, float]
"""Values by metric name, followed by the label if there is one: `mercato_batches_total checkout`."""


def scrape(port: int) -> Samples:
    """Read the metrics of a worker; raises URLError if no worker listens."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patient()) as reply:
        assert reply.headers["content-type"].startswith("text/plain")
        families = list(text_string_to_metric_families(reply.read().decode()))
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for family in families for sample in family.samples}
