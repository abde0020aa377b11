"""Bodies of signing up and in, and what is shown of a user."""

from marshmallow import fields, validate

from api.schemas.base import Id, In, Line, Out, Text, Word
from models.rules.pricing import Tier

PASSWORD = validate.Length(min=8, max=1024)


class Email(fields.Email):
    """An address of at most 254 characters, without space around it."""

    def __init__(self, *, required: bool = True) -> None:
        super().__init__(required=required, validate=validate.Length(max=254))

    def _deserialize(self, value: object, *args: object, **kwargs: object) -> str:
        return super()._deserialize(value.strip() if isinstance(value, str) else value, *args, **kwargs)


class RegisterIn(In):
    """A new account."""

    email = Email()
    password = fields.String(required=True, validate=PASSWORD)
    name = Line(200, required=True)


class LoginIn(In):
    """Somebody who says to have an account; only the sizes are checked, to tell a stranger nothing."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=254))
    password = fields.String(required=True, validate=validate.Length(min=1, max=1024))


class ProfileIn(In):
    """What changes of a profile."""

    name = Line(200)
    email = Email(required=False)


class ChangePasswordIn(In):
    """The password that counts now, and the one that shall."""

    current_password = fields.String(required=True, validate=validate.Length(min=1, max=1024))
    new_password = fields.String(required=True, validate=PASSWORD)


class ResetIn(In):
    """Whoever forgot a password; an address that is none gets the same answer as one without an account."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=254))


class ConfirmResetIn(In):
    """The token out of the mail's link, and the password that shall count."""

    token = fields.String(required=True, validate=validate.Length(min=1, max=200))
    new_password = fields.String(required=True, validate=PASSWORD)


class NothingIn(In):
    """A body without fields."""


class UserOut(Out):
    """What a user sees of themselves."""

    id = Id()
    email = Text()
    name = Text()
    subscription_tier = Word(Tier)


class ProfileOut(UserOut):
    """The user twice: under its name, and field by field for apps that merge the answer into theirs."""

    user = fields.Nested(UserOut)


class SignedInOut(Out):
    """A user, and the token that stands for them."""

    user = fields.Nested(UserOut)
    token = Text()


class TokenOut(Out):
    """A token for `Authorization: Bearer`."""

    token = Text()


class MessageOut(Out):
    """A sentence about what was done."""

    message = Text()
