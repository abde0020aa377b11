"""Every node type with the schema of its config, its ports and its price."""

from decimal import Decimal

from models.rules.catalog.json_schema import DIALECT, Schema, config_schema, field_schema, object_schema
from models.rules.expressions.references import NAMES
from models.rules.graph import options
from models.rules.graph.graph import ERROR_PORT
from models.rules.graph.kinds import NodeKind
from models.rules.nodes import KINDS
from models.rules.prices.pricing import CURRENT, PriceList
from models.serialization import Json


def node_types(prices: PriceList = CURRENT) -> dict[str, Json]:
    """The node types, the options that all of them have, and the variables of expressions."""
    return {
        "nodeTypes": [_described(kind, prices) for kind in KINDS.values()],
        "options": _options(),
        "errorPort": ERROR_PORT,
        "variables": list(NAMES),
        "priceList": prices.name,
        "creditsPerRun": prices.fee,
    }


def _described(kind: NodeKind, prices: PriceList) -> dict[str, Json]:
    return {
        "type": kind.type,
        "title": kind.title,
        "help": kind.help,
        "result": kind.result,
        "config": config_schema(kind),
        "ports": list(kind.ports({})),
        "portsBy": _ports_by(kind),
        "isContainer": kind.container,
        "makesAttempts": kind.repeats,
        "maxAttempts": (kind.retry_by({}) if kind.retry_by else kind.retry).max_attempts,
        "credits": prices.node(kind.provider({})),
        "creditsBy": _credits_by(kind, prices),
    }


def _ports_by(kind: NodeKind) -> dict[str, Json] | None:
    """The list in the config whose items name the ports, and the ports that it then has besides."""
    if not kind.ports_by:
        return None
    return {"field": kind.ports_by, "property": "name", "also": list(kind.ports({kind.ports_by: []}))}


def _credits_by(kind: NodeKind, prices: PriceList) -> dict[str, Json] | None:
    """The choice on which the price depends, with the price of each."""
    for field in kind.fields:
        found: dict[str, Decimal] = {
            str(choice): prices.node(kind.provider({field.name: choice})) for choice in field.choices
        }
        if len(set(found.values())) > 1:
            return {"field": field.name, "credits": found}
    return None


def _options() -> Schema:
    retry = {
        **object_schema(options.RETRY, computed=False),
        "title": "Attempts and pauses",
        "description": "Pauses grow up to the longest one. For types that make attempts.",
    }
    listed = (*options.LIMITS, options.ON_ERROR, options.DEFAULT_VALUE, options.ON_CRASH, options.SIDE_EFFECTS)
    properties = {"retry": retry} | {option.name: field_schema(option, computed=False) for option in listed}
    return {"$schema": DIALECT, "type": "object", "properties": properties}
