"""Schemas of devices for push notifications."""

from marshmallow import fields, validate

from api.schemas.base import In

EXPO_ADDRESS = r"^(Expo(nent)?PushToken)\[[A-Za-z0-9_-]{1,200}\]$"


class DeviceIn(In):
    """The push token that Expo gave to the app on this device."""

    token = fields.String(
        required=True,
        validate=validate.Regexp(EXPO_ADDRESS, error="Must be an Expo token: ExponentPushToken[...]."),
        metadata={"example": "ExponentPushToken[Qx3aBcDeFgHiJkLmNoPq42]"},
    )
