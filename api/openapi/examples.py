"""Builds an example for every body from its schema: by the name of a field, or else by its type."""

from typing import Any

from models.serialization import JsonObject

AN_ID = "5f0c8a52-71f3-4c7d-8a9e-0b1c2d3e4f50"
A_TIME = "2026-11-02T09:30:00Z"
NODES = [
    {"id": "in", "type": "input", "label": "Question", "position": {"x": 0, "y": 0}, "config": {"inputType": "text"}},
    {
        "id": "out",
        "type": "output",
        "label": "Answer",
        "position": {"x": 200, "y": 0},
        "config": {"value": "{{ nodes.in.output }}"},
    },
]
NAMED: JsonObject = {
    "action": "reported",
    "amount": 9.99,
    "approved": True,
    "available": 8.8,
    "balance": 10,
    "balanceAfter": 10,
    "brand": "visa",
    "cancelUrl": f"/api/executions/{AN_ID}/cancel",
    "category": "data",
    "clientSecret": "pi_3Nx_secret_9Kq",
    "comment": "Looks right.",
    "connections": [{"id": "c1", "from": "in", "to": "out"}],
    "costs": {"workflow_execution": 1, "node_execution": 0.1},
    "count": 1,
    "credits": 100,
    "creditsBySource": {"execution": 12.4},
    "currency": "USD",
    "currentPassword": "correct horse battery",
    "description": "Repeats its input.",
    "email": "ada@example.com",
    "eventsUrl": f"/api/executions/{AN_ID}/events",
    "error": None,
    "errorDetails": None,
    "expMonth": 12,
    "expYear": 2030,
    "failure": None,
    "features": ["3 workflows", "10 nodes per workflow"],
    "input": "hello",
    "id": "in",
    "label": "Question",
    "last4": "4242",
    "level": "info",
    "limit": 50,
    "maxCredits": 5,
    "message": "It is done.",
    "name": "Echo",
    "newPassword": "a much longer passphrase",
    "nextCursor": None,
    "nodeId": "in",
    "nodes": NODES,
    "offset": 0,
    "output": "hello",
    "packageId": "pack_100",
    "password": "correct horse battery",
    "parentId": None,
    "path": "",
    "paymentMethodId": "pm_1Nx4242",
    "priceCents": 999,
    "priceId": "price_premium_monthly",
    "priceList": "2026-11",
    "progress": 100,
    "reason": "Welcome",
    "resourceType": "storage_mb",
    "status": "success",
    "statusUrl": f"/api/executions/{AN_ID}",
    "tier": "premium",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "type": "input",
    "waitingFor": None,
    "workflowName": "Echo",
}
TYPES: JsonObject = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
TYPED: JsonObject = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def example(schema: JsonObject, components: JsonObject, name: str = "") -> Any:
    """Return a value that `schema` allows; `components` are the schemas by name that it may reference."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rpartition("/")[2]], components, name)
    if "example" in schema:
        return schema["example"]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], components, name)
    if "enum" in schema:
        return NAMED[name] if name in NAMED and NAMED[name] in schema["enum"] else schema["enum"][0]
    if "type" not in schema:
        return NAMED.get(name, {})
    kinds = schema["type"]
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object" and schema.get("properties"):
        return {inner: example(value, components, inner) for inner, value in schema["properties"].items()}
    if name in NAMED and _fits(NAMED[name], kinds, schema):
        return NAMED[name]
    if kind == "array":
        return [example(schema.get("items", {}), components)]
    if kind == "object":
        return {}
    return {"uuid": AN_ID, "date-time": A_TIME}.get(schema.get("format", ""), TYPED[kind])


def _fits(value: Any, kinds: str | list[str], schema: JsonObject) -> bool:
    """Whether the example of a name fits this schema: `nodes` is a list in a graph and a number in a receipt."""
    allowed = [kinds] if isinstance(kinds, str) else kinds
    if value is None:
        return "null" in allowed
    if schema.get("format") == "uuid" or (isinstance(value, list) and "properties" in _items(schema)):
        return False
    return any(isinstance(value, TYPES[kind]) for kind in allowed if kind != "null")


def _items(schema: JsonObject) -> JsonObject:
    items: JsonObject = schema.get("items", {})
    return {"properties": {}} if "$ref" in items else items
