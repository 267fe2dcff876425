"""The metrics of the access service."""

from __future__ import annotations

from prometheus_client import generate_latest

from berth.services.access.metrics import AccessMetrics


def test_every_response_before_a_scrape_is_counted_once() -> None:
    metrics = AccessMetrics()
    for number in range(1, 1001):
        metrics.observe_request("authz", 200 if number % 4 else 403, 0.002)
        if number in (1, 300, 1000):
            text = generate_latest(metrics.registry).decode()
            refused = number // 4
            assert f'berth_access_requests_total{{endpoint="authz",status="200"}} {number - refused}.0' in text
            assert f'berth_access_request_duration_seconds_count{{endpoint="authz"}} {number}.0' in text
            assert 'berth_access_request_duration_seconds_bucket{endpoint="authz",le="0.001"} 0.0' in text
            assert f'berth_access_request_duration_seconds_bucket{{endpoint="authz",le="0.0025"}} {number}.0' in text
