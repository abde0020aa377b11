"""Schemas of sign-up, sign-in, profile and passwords."""

from enum import StrEnum

from marshmallow import ValidationError, fields, validate

from api.schemas.accounts.two_factor import Code
from api.schemas.base import OPTIONAL, AppIn, Boolean, EnumText, Id, In, Out, String, Time, TrimmedString
from models.rules.prices.pricing import Tier
from models.rules.values import emails
from models.tables import Role


class SessionKind(StrEnum):
    """How a client keeps its session."""

    BEARER = "bearer"  # the token is in the response, and the client sends it as `Authorization: Bearer`
    COOKIE = "cookie"  # the token is in a cookie, and the browser sends it


PASSWORD = validate.Length(min=8, max=1024)


class Email(fields.Email):
    """An email address in ASCII, normalized and without surrounding space."""

    def __init__(self, *, required: bool = True) -> None:
        super().__init__(required=required, validate=validate.Length(max=emails.MAX_LENGTH))

    def _deserialize(self, value: object, *args: object, **kwargs: object) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        try:
            return emails.normalize(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class RegisterIn(AppIn):
    """A new account."""

    email = Email()
    password = fields.String(required=True, validate=PASSWORD)
    name = TrimmedString(200, required=True)
    session = fields.Enum(SessionKind, by_value=True, load_default=SessionKind.BEARER)


class LoginIn(AppIn):
    """A sign-in. Only lengths are checked, so that the response reveals nothing about accounts."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=254))
    password = fields.String(required=True, validate=validate.Length(min=1, max=1024))
    code = Code()
    session = fields.Enum(SessionKind, by_value=True, load_default=SessionKind.BEARER)


class RefreshIn(AppIn):
    """How the client keeps the session from now on; a session in a cookie stays there."""

    session = fields.Enum(SessionKind, by_value=True, load_default=SessionKind.BEARER)


class ProfileIn(AppIn):
    """The fields of a profile to change."""

    name = TrimmedString(200)
    email = Email(required=False)


class ChangePasswordIn(AppIn):
    """The current password and the new one."""

    current_password = fields.String(required=True, validate=validate.Length(min=1, max=1024))
    new_password = fields.String(required=True, validate=PASSWORD)


class ResetIn(AppIn):
    """The email address of a forgotten password; an invalid one gets the same response as one without an account."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=254))


class ConfirmResetIn(In):
    """The token of the mailed link, and the new password."""

    token = fields.String(required=True, validate=validate.Length(min=1, max=200))
    new_password = fields.String(required=True, validate=PASSWORD)


class LinkIn(In):
    """The token of a mailed link."""

    token = fields.String(required=True, validate=validate.Length(min=1, max=200))


class NothingIn(In):
    """A body without fields."""


class NothingAppIn(AppIn):
    """A body whose fields are ignored."""


class UserOut(Out):
    """A user, as they see themselves."""

    id = Id()
    email = String()
    email_verified = fields.Function(lambda user: user.email_verified_at is not None, metadata=Boolean.shape)
    pending_email = String(allow_none=True)
    name = String()
    subscription_tier = EnumText(Tier)
    role = EnumText(Role)
    created_at = Time()


class ProfileOut(UserOut):
    """The user twice: as `user`, and field by field for apps that merge the response into their own object."""

    user = fields.Nested(UserOut)


class SignedInOut(Out):
    """The signed-in user and, unless it is in a cookie, their token."""

    user = fields.Nested(UserOut)
    token = String(metadata=OPTIONAL)


class TokenOut(Out):
    """A token for `Authorization: Bearer`, unless it is in a cookie."""

    token = String(metadata=OPTIONAL)


class MessageOut(Out):
    """A sentence that says what was done."""

    message = String()
