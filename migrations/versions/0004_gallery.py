"""The four templates that every gallery starts with."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEMPLATES = sa.table(
    "templates",
    sa.column("id", sa.Uuid(as_uuid=False)),
    sa.column("slug", sa.String),
    sa.column("name", sa.String),
    sa.column("description", sa.Text),
    sa.column("category", sa.String),
    sa.column("estimated_minutes", sa.SmallInteger),
    sa.column("graph", JSONB),
    sa.column("published", sa.Boolean),
)


def upgrade() -> None:
    """Add the templates, published and without an owner.

    Lists show the newest first, and the highest id first among those of the same age: these ids give the order below.
    """
    op.bulk_insert(
        TEMPLATES,
        [
            {
                "id": "a6c1f8d2-5b0e-4b7c-9c55-00000000000d",
                "slug": "data-processing-pipeline",
                "name": "Data processing pipeline",
                "description": "Takes a list of records, keeps the complete ones and counts them."
                " Input: [{name, value}].",
                "category": "data",
                "estimated_minutes": 5,
                "graph": _data_pipeline(),
                "published": True,
            },
            {
                "id": "a6c1f8d2-5b0e-4b7c-9c55-00000000000c",
                "slug": "email-automation",
                "name": "Email automation",
                "description": "Drafts a reply to an email and posts it to your mail service."
                " Input: {from, subject, body, webhookUrl}.",
                "category": "communication",
                "estimated_minutes": 3,
                "graph": _email_automation(),
                "published": True,
            },
            {
                "id": "a6c1f8d2-5b0e-4b7c-9c55-00000000000b",
                "slug": "content-analysis",
                "name": "Content analysis",
                "description": "Reads a text, finds its mood, topics and gist, and flags complaints. Input: the text.",
                "category": "analysis",
                "estimated_minutes": 4,
                "graph": _content_analysis(),
                "published": True,
            },
            {
                "id": "a6c1f8d2-5b0e-4b7c-9c55-00000000000a",
                "slug": "social-media-bot",
                "name": "Social media bot",
                "description": "Writes a post about a topic and publishes it. Input: {topic, webhookUrl}.",
                "category": "communication",
                "estimated_minutes": 6,
                "graph": _social_media_bot(),
                "published": True,
            },
        ],
    )


def downgrade() -> None:
    """Remove the templates; workflows made from them stay."""
    op.execute("DELETE FROM templates WHERE id::text LIKE 'a6c1f8d2-5b0e-4b7c-9c55-%'")


def _data_pipeline() -> dict[str, Any]:
    complete = "item.name != null && item.name !== '' && item.value != null"
    found = {"count": "{{ nodes.complete.output.length }}", "records": "{{ nodes.complete.output }}"}
    return {
        "nodes": [
            _input(0, "records", "Records", inputType="json", key="records"),
            _node(1, "complete", "process", "Keep the complete ones", operation="filter", expression=complete),
            _node(2, "result", "output", "Result", outputType="json", value=found),
        ],
        "connections": _connections(("records", "complete"), ("complete", "result")),
    }


def _email_automation() -> dict[str, Any]:
    mail = {
        "to": "{{ input.from }}",
        "subject": "Re: {{ input.subject }}",
        "text": "{{ nodes.draft.output.text }}",
    }
    return {
        "nodes": [
            _input(0, "incoming", "Incoming email", inputType="json"),
            _agent(
                1,
                "draft",
                "Draft a reply",
                system="You answer emails for a small company: friendly, brief, and without promises.",
                prompt="Write a reply to this email from {{ input.from }} about {{ input.subject }}:\n\n"
                "{{ input.body }}",
            ),
            _post(2, "send", "Hand it to the mail service", mail),
        ],
        "connections": _connections(("incoming", "draft"), ("draft", "send")),
    }


def _content_analysis() -> dict[str, Any]:
    found = {  # an agent may leave fields out
        "sentiment": "{{ nodes.analyse.output.json.sentiment }}",
        "summary": "{{ nodes.analyse.output.json.summary ?? '' }}",
        "topics": "{{ nodes.analyse.output.json.topics ?? [] }}",
    }
    bad, good = {"verdict": "needs attention", **found}, {"verdict": "all is well", **found}
    return {
        "nodes": [
            _input(0, "text", "Text", inputType="text", key="text"),
            _agent(
                1,
                "analyse",
                "Analyse",
                system="You analyse texts. You answer with one JSON object and nothing else.",
                prompt="Analyse the text below. Answer with JSON in exactly this form: "
                '{"sentiment": "positive" or "neutral" or "negative", "summary": "two sentences", "topics": ["..."]}'
                "\n\nText:\n{{ nodes.text.output }}",
            ),
            _node(
                2,
                "complaint",
                "decision",
                "Is it a complaint?",
                condition="nodes.analyse.output.json.sentiment == 'negative'",
            ),
            _node(3, "attention", "output", "Needs attention", x=80, outputType="json", value=bad),
            _node(3, "well", "output", "All is well", x=320, outputType="json", value=good),
        ],
        "connections": _connections(
            ("text", "analyse"),
            ("analyse", "complaint"),
            ("complaint", "attention", "true"),
            ("complaint", "well", "false"),
        ),
    }


def _social_media_bot() -> dict[str, Any]:
    return {
        "nodes": [
            _input(0, "request", "What to post", inputType="json"),
            _agent(
                1,
                "write",
                "Write a post",
                system="You write posts for social media: one idea, plain words, at most 280 characters.",
                prompt="Write a post about {{ input.topic }}.",
            ),
            _post(2, "publish", "Publish it", {"text": "{{ nodes.write.output.text }}"}),
        ],
        "connections": _connections(("request", "write"), ("write", "publish")),
    }


def _node(row: int, node_id: str, kind: str, label: str, *, x: int = 200, **config: Any) -> dict[str, Any]:
    position = {"x": x, "y": 80 + 160 * row}
    return {"id": node_id, "type": kind, "label": label, "position": position, "config": config}


def _input(row: int, node_id: str, label: str, **config: Any) -> dict[str, Any]:
    return _node(row, node_id, "input", label, required=True, **config)


def _agent(row: int, node_id: str, label: str, **config: Any) -> dict[str, Any]:
    return _node(row, node_id, "ai_agent", label, provider="openclaw", **config)


def _post(row: int, node_id: str, label: str, body: dict[str, Any]) -> dict[str, Any]:
    return _node(row, node_id, "api_call", label, method="POST", url="{{ input.webhookUrl }}", body=body)


def _connections(*pairs: tuple[str, ...]) -> list[dict[str, str]]:
    """Connections from `(source, target)` or `(source, target, port)`."""
    return [
        {"id": f"{source}-{target}", "from": source, "to": target} | ({"fromPort": port[0]} if port else {})
        for source, target, *port in pairs
    ]
