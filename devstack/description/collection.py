"""Make a Postman collection (v2.1) from the API's description: every operation with an example of its body.

`{{baseUrl}}` and `{{token}}` are variables of the collection; signing in keeps its token in the latter.
"""

import json

from models.serialization import Json

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
METHODS = ("get", "post", "put", "patch", "delete")
KEEPS_TOKEN = ("auth_register", "auth_login", "auth_refresh")
KEEP_TOKEN = [
    "const answer = pm.response.code < 300 ? pm.response.json() : {};",
    "if (answer.token) pm.collectionVariables.set('token', answer.token);",
]


def collection(document: Json, base_url: str) -> Json:
    """The collection, with a folder for each tag."""
    folders = [
        {"name": tag["name"], "description": tag.get("description", ""), "item": _requests(document, tag["name"])}
        for tag in document["tags"]
    ]
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": "baseUrl", "value": base_url}, {"key": "token", "value": ""}],
        "item": folders,
    }


def _requests(document: Json, tag: str) -> list[Json]:
    return [
        _request(document, path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in METHODS and tag in operation["tags"]
    ]


def _request(document: Json, path: str, method: str, operation: Json) -> Json:
    parameters = [_resolved(document, said, "parameters") for said in operation.get("parameters", [])]
    request: Json = {
        "method": method.upper(),
        "description": operation["description"],
        "header": [
            {
                "key": said["name"],
                "value": said.get("example", ""),
                "description": said["description"],
                "disabled": True,
            }
            for said in parameters
            if said["in"] == "header"
        ],
        "url": _url(path, parameters),
    }
    if not operation["security"]:
        request["auth"] = {"type": "noauth"}
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        request["header"].append({"key": "Content-Type", "value": media})
        options = {"raw": {"language": "json"}}
        request["body"] = {"mode": "raw", "raw": _json(body["example"]), "options": options}
    item = {"name": operation["summary"], "id": operation["operationId"], "request": request, "response": []}
    if operation["operationId"] in KEEPS_TOKEN:
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": KEEP_TOKEN}}]
    return item


def _url(path: str, parameters: list[Json]) -> Json:
    segments = [f":{part[1:-1]}" if part.startswith("{") else part for part in path.strip("/").split("/")]
    in_path = [said for said in parameters if said["in"] == "path"]
    in_query = [said for said in parameters if said["in"] == "query"]
    return {
        "raw": "{{baseUrl}}/" + "/".join(segments),
        "host": ["{{baseUrl}}"],
        "path": segments,
        "variable": [{"key": said["name"], "value": "", "description": said["description"]} for said in in_path],
        "query": [
            {"key": said["name"], "value": str(said["schema"].get("default", "")), "disabled": True}
            for said in in_query
        ],
    }


def _resolved(document: Json, said: Json, kind: str) -> Json:
    return document["components"][kind][said["$ref"].rpartition("/")[2]] if "$ref" in said else said


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
