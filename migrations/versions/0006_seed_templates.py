"""The four templates that every gallery starts with."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


COMPLETE = "has(item.name) && item.name != '' && has(item.value) && item.value != null"
FOUND = {  # what an agent may leave out is read with care
    "sentiment": "{{ nodes.analyse.output.json.sentiment }}",
    "summary": "{{ has(nodes.analyse.output.json.summary) ? nodes.analyse.output.json.summary : '' }}",
    "topics": "{{ has(nodes.analyse.output.json.topics) ? nodes.analyse.output.json.topics : [] }}",
}


def _node(place: int, kind: str, label: str, config: dict[str, Any], *, node_id: str, x: int = 200) -> dict[str, Any]:
    position = {"x": x, "y": 80 + 160 * place}
    return {"id": node_id, "type": kind, "label": label, "position": position, "config": config}


def _connections(*pairs: tuple[str, ...]) -> list[dict[str, str]]:
    """Connections from `(source, target)` or `(source, target, port)`."""
    return [
        {"id": f"{source}-{target}", "from": source, "to": target} | ({"fromPort": port[0]} if port else {})
        for source, target, *port in pairs
    ]


DATA_PIPELINE = {
    "nodes": [
        _node(0, "input", "Records", {"inputType": "json", "required": True, "key": "records"}, node_id="records"),
        _node(
            1,
            "process",
            "Keep the complete ones",
            {"operation": "filter", "expression": COMPLETE},
            node_id="complete",
        ),
        _node(
            2,
            "output",
            "Result",
            {
                "outputType": "json",
                "value": {"count": "{{ size(nodes.complete.output) }}", "records": "{{ nodes.complete.output }}"},
            },
            node_id="result",
        ),
    ],
    "connections": _connections(("records", "complete"), ("complete", "result")),
}

EMAIL_AUTOMATION = {
    "nodes": [
        _node(0, "input", "Incoming email", {"inputType": "json", "required": True}, node_id="incoming"),
        _node(
            1,
            "ai_agent",
            "Draft a reply",
            {
                "provider": "openclaw",
                "system": "You answer emails for a small company: friendly, brief, and without promises.",
                "prompt": "Write a reply to this email from {{ input.from }} about {{ input.subject }}:\n\n"
                "{{ input.body }}",
            },
            node_id="draft",
        ),
        _node(
            2,
            "api_call",
            "Hand it to the mail service",
            {
                "method": "POST",
                "url": "{{ input.webhookUrl }}",
                "body": {
                    "to": "{{ input.from }}",
                    "subject": "Re: {{ input.subject }}",
                    "text": "{{ nodes.draft.output.text }}",
                },
            },
            node_id="send",
        ),
    ],
    "connections": _connections(("incoming", "draft"), ("draft", "send")),
}

CONTENT_ANALYSIS = {
    "nodes": [
        _node(0, "input", "Text", {"inputType": "text", "required": True, "key": "text"}, node_id="text"),
        _node(
            1,
            "ai_agent",
            "Analyse",
            {
                "provider": "openclaw",
                "system": "You analyse texts. You answer with one JSON object and nothing else.",
                "prompt": "Analyse the text below. Answer with JSON in exactly this form: "
                '{"sentiment": "positive" or "neutral" or "negative", "summary": "two sentences", "topics": ["..."]}'
                "\n\nText:\n{{ nodes.text.output }}",
            },
            node_id="analyse",
        ),
        _node(
            2,
            "decision",
            "Is it a complaint?",
            {"condition": "nodes.analyse.output.json.sentiment == 'negative'"},
            node_id="complaint",
        ),
        _node(
            3,
            "output",
            "Needs attention",
            {
                "outputType": "json",
                "value": {"verdict": "needs attention", **FOUND},
            },
            node_id="attention",
            x=80,
        ),
        _node(
            3,
            "output",
            "All is well",
            {
                "outputType": "json",
                "value": {"verdict": "all is well", **FOUND},
            },
            node_id="well",
            x=320,
        ),
    ],
    "connections": _connections(
        ("text", "analyse"),
        ("analyse", "complaint"),
        ("complaint", "attention", "true"),
        ("complaint", "well", "false"),
    ),
}

SOCIAL_MEDIA_BOT = {
    "nodes": [
        _node(0, "input", "What to post", {"inputType": "json", "required": True}, node_id="request"),
        _node(
            1,
            "ai_agent",
            "Write a post",
            {
                "provider": "openclaw",
                "system": "You write posts for social media: one idea, plain words, at most 280 characters.",
                "prompt": "Write a post about {{ input.topic }}.",
            },
            node_id="write",
        ),
        _node(
            2,
            "api_call",
            "Publish it",
            {"method": "POST", "url": "{{ input.webhookUrl }}", "body": {"text": "{{ nodes.write.output.text }}"}},
            node_id="publish",
        ),
    ],
    "connections": _connections(("request", "write"), ("write", "publish")),
}

# Lists show the newest first and, of the same age, the highest id: these ids keep the order below.
TEMPLATES = (
    (
        "a6c1f8d2-5b0e-4b7c-9c55-00000000000d",
        "data-processing-pipeline",
        "Data processing pipeline",
        "Takes a list of records, keeps the complete ones and counts them. Input: [{name, value}].",
        "data",
        DATA_PIPELINE,
    ),
    (
        "a6c1f8d2-5b0e-4b7c-9c55-00000000000c",
        "email-automation",
        "Email automation",
        "Drafts a reply to an email and posts it to your mail service. Input: {from, subject, body, webhookUrl}.",
        "communication",
        EMAIL_AUTOMATION,
    ),
    (
        "a6c1f8d2-5b0e-4b7c-9c55-00000000000b",
        "content-analysis",
        "Content analysis",
        "Reads a text, finds its mood, topics and gist, and flags complaints. Input: the text.",
        "analysis",
        CONTENT_ANALYSIS,
    ),
    (
        "a6c1f8d2-5b0e-4b7c-9c55-00000000000a",
        "social-media-bot",
        "Social media bot",
        "Writes a post about a topic and publishes it. Input: {topic, webhookUrl}.",
        "marketing",
        SOCIAL_MEDIA_BOT,
    ),
)


def upgrade() -> None:
    """Add them, owned by nobody and published."""
    insert = sa.text("""
        INSERT INTO templates (id, slug, name, description, category, graph, published)
        VALUES (CAST(:id AS uuid), :slug, :name, :description, :category, CAST(:graph AS jsonb), true)
    """)
    for template_id, slug, name, description, category, graph in TEMPLATES:
        op.execute(
            insert.bindparams(
                id=template_id,
                slug=slug,
                name=name,
                description=description,
                category=category,
                graph=json.dumps(graph),
            )
        )


def downgrade() -> None:
    """Remove them; workflows made from them stay."""
    op.execute("DELETE FROM templates WHERE id::text LIKE 'a6c1f8d2-5b0e-4b7c-9c55-%'")
