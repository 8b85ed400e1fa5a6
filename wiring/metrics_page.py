"""Writes docs/reference/metrics.md from the figures themselves: `python -m wiring.metrics_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from api.metrics import FIGURES

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"

_HEAD: Final = """\
# Metrics

`GET /metrics` answers in Prometheus's text form. It is asked of any one API process and tells of the whole service:
the queue, quotas and runs are read from PostgreSQL and the breakers from Redis at that moment, and counters and
histograms are added up in Redis by all API processes and workers, every two seconds.

Who may ask: without `MAILMUX_METRICS_TOKEN` only this machine, and nobody through a proxy (a request with a
`Forwarded`, `X-Forwarded-For` or `X-Real-IP` header is refused); with it, who sends `Authorization: Bearer` and the
token, from anywhere.

```yaml
scrape_configs:
  - job_name: mailmux
    scrape_interval: 15s
    authorization: {credentials_file: /etc/prometheus/mailmux-token}
    static_configs: [{targets: ["mailmux.internal:8025"]}]
```

A scrape costs about a dozen queries that read indexes; emails of one state are counted up to 100,000. A flushed Redis
lets counters begin anew, as a restart does elsewhere: `rate()` knows that. A process that is killed takes up to two
seconds of counts with it.

Every metric with what it means, and an alert to begin with (`for: 2m` is a good start):
"""


def render() -> str:
    parts = [_HEAD]
    for name, figure in FIGURES.items():
        labels = f"{{{', '.join(figure.labels)}}}" if figure.labels else ""
        parts.append(f"\n### `{name}{labels}` ({figure.type})\n\n{figure.meaning}\n")
        if figure.alarm:
            parts.append(f"\n```promql\n{figure.alarm}\n```\n")
    parts.append(
        '\nThe service itself may be down: `up{job="mailmux"} == 0` is Prometheus\'s own figure for that.\n'
    )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render())
