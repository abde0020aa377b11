"""Schemas of exports of a user's data."""

from marshmallow import fields, validate

from api.schemas.base import Id, Out, Query, String


class ExportOut(Out):
    """An export that is being built."""

    id = Id()
    message = String()


class LinkQuery(Query):
    """The token of the mailed link."""

    token = fields.String(load_default="", validate=validate.Length(max=200))
