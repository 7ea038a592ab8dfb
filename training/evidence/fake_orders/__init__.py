"""What fake orders buy: sellers are copied, each copy buys fake orders in another mix, and all are scored anew."""

from training.evidence.fake_orders.mixes import FakeOrdersConfig
from training.evidence.fake_orders.study import fake_orders

__all__ = ["FakeOrdersConfig", "fake_orders"]
