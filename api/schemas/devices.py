"""The bodies of the calls about phones."""

from marshmallow import fields, validate

from api.schemas.base import In

EXPO_ADDRESS = r"^(Expo(nent)?PushToken)\[[A-Za-z0-9_-]{1,200}\]$"


class DeviceIn(In):
    """The address that Expo gave the app on this phone."""

    token = fields.String(
        required=True,
        validate=validate.Regexp(EXPO_ADDRESS, error="Must be an Expo token: ExponentPushToken[...]."),
        metadata={"example": "ExponentPushToken[Qx3aBcDeFgHiJkLmNoPq42]"},
    )
