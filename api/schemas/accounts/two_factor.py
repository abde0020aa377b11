"""Schemas of the second factor."""

from marshmallow import fields, validate

from api.schemas.base import In, Integer, Out, String, Time, TrimmedString


class Code(fields.String):
    """Six digits from an authenticator app, or a recovery code with or without dashes."""

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(required=required, validate=validate.Length(min=1, max=64))


class PasswordIn(In):
    """The password of the signed-in user."""

    password = fields.String(required=True, validate=validate.Length(min=1, max=1024))


class ConfirmFactorIn(In):
    """The first code of an authenticator app that was just set up."""

    code = Code(required=True)


class PasswordAndCodeIn(PasswordIn):
    """The password and a code of the second factor."""

    code = Code(required=True)


class PasswordMaybeCodeIn(PasswordIn):
    """The password and, if the account has a second factor, its code."""

    code = Code()


class ReasonIn(In):
    """The reason for an administrator's action, for the audit log."""

    reason = TrimmedString(500, required=True)


class EnrolmentOut(Out):
    """The secret for an authenticator app; `uri` is the content of its QR code."""

    secret = String()
    uri = String()


class RecoveryCodesOut(Out):
    """Recovery codes for a lost device. Each works once, and no other response shows them."""

    recovery_codes = fields.List(String())
    message = String()


class FactorOut(Out):
    """The state of the second factor."""

    enabled = fields.Boolean()
    confirmed_at = Time(allow_none=True)
    recovery_codes_left = Integer()
