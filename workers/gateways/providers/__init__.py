"""AI providers through their public HTTP APIs: one module per wire format, one client for all of them."""

from workers.gateways.providers.base import DEFAULT_MODELS
from workers.gateways.providers.client import FORMATS, Providers

__all__ = ["DEFAULT_MODELS", "FORMATS", "Providers"]
