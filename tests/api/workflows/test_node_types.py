"""`GET /node-types`: public, cached by its tag, and complete."""

from models.rules.nodes import KINDS


def test_everybody_gets_every_node_type(stranger):
    answer = stranger.get("/node-types")
    assert answer.status_code == 200
    assert [described["type"] for described in answer.json["nodeTypes"]] == list(KINDS)
    agent = next(described for described in answer.json["nodeTypes"] if described["type"] == "ai_agent")
    assert agent["creditsBy"]["credits"]["openai"] == 2.1
    assert agent["config"]["properties"]["provider"]["default"] == "openclaw"
    assert "retry" in answer.json["options"]["properties"]


def test_is_sent_once_to_a_client_that_keeps_it(stranger):
    tag = stranger.get("/node-types").headers["ETag"]
    again = stranger.get("/node-types", headers={"If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_access_keys_may_read_it_whatever_their_scopes(client, stranger):
    key = client.post("/access-keys", json={"name": "Program", "scopes": ["credits:read"]}).json["key"]
    assert stranger.get("/node-types", headers={"Authorization": f"Bearer {key}"}).status_code == 200
