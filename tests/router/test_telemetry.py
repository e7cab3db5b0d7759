"""What is counted, and under which labels."""

from __future__ import annotations

import pytest

from router.telemetry import Metrics


def shown(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


@pytest.mark.parametrize("by_tenant", [False, True])
def test_the_tenant_is_a_label_of_requests_and_money_only_where_it_is_asked_for(*, by_tenant: bool) -> None:
    metrics = Metrics(tenant_label=by_tenant)
    for _ in range(2):
        metrics.answered("chat", tier="strong", status=200, cache="miss", tenant="acme", seconds=0.2)
    metrics.billed(tier="strong", tenant="acme", cost_nano=1_500_000_000, tokens={"input": 7, "output": None})
    own = ',tenant="acme"' if by_tenant else ""
    assert f'rung_requests_total{{cache="miss",status="200",surface="chat"{own},tier="strong"}} 2.0' in shown(metrics)
    money = 'tenant="acme",tier="strong"' if by_tenant else 'tier="strong"'
    assert f"rung_spend_usd_total{{{money}}} 1.5" in shown(metrics)


def test_tokens_that_nobody_reported_are_not_counted() -> None:
    metrics = Metrics()
    metrics.billed(tier="cheap", tenant="acme", cost_nano=0, tokens={"input": 7, "cached": 0, "reasoning": None})
    assert 'rung_tokens_total{kind="input",tier="cheap"} 7.0' in shown(metrics)
    assert 'kind="cached"' not in shown(metrics)
    assert 'kind="reasoning"' not in shown(metrics)
