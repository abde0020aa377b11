"""The handshake: which clients may connect, and with which scopes."""

import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from simulators.openclaw.connection import SocketConnection
from simulators.openclaw.gateway import Gateway
from simulators.openclaw.rpc import RpcError
from simulators.openclaw.wire import Payload

CLIENT_IDS = (
    "gateway-client",
    "cli",
    "webchat-ui",
    "openclaw-control-ui",
    "webchat",
    "node-host",
    "test",
    "openclaw-probe",
)
MODES = ("backend", "cli", "webchat", "ui", "node", "test", "probe")
SCOPES = ("operator.read", "operator.write", "operator.admin", "operator.approvals", "operator.pairing")
WRONG_TOKENS_ALLOWED = 10
POLICY = {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": 30000}


def handshake(gateway: Gateway, connection: SocketConnection, params: Payload) -> Payload:
    """Return the hello payload, or raise `RpcError`; sets the connection's scopes."""
    if gateway.now() < gateway.ready_at:
        details = {"reason": "startup-sidecars"}
        raise RpcError("UNAVAILABLE", "gateway starting", details=details, retry_after_ms=200, close=1013)
    _check_shape(params)
    wanted = tuple(scope for scope in params.get("scopes") or () if scope in SCOPES)
    token = str((params.get("auth") or {}).get("token") or "")
    device = params.get("device")
    device_token = _authenticate(gateway, connection, token, device, params)
    if gateway.options.remote and device is None:
        wanted = ()
    connection.scopes = wanted if gateway.options.grants_scopes else ()
    connection.device = str(device["id"]) if device else ""
    connection.caps = tuple(params.get("caps") or ())
    auth: Payload = {"method": "token", "role": "operator", "scopes": list(connection.scopes)}
    if device_token:
        auth["deviceToken"] = device_token
    return {
        "type": "hello-ok",
        "protocol": 4,
        "server": {"version": "2026.9.6", "connId": connection.nonce, "bootId": gateway.boot_id},
        "features": {"methods": ["agent", "agent.wait"], "events": ["agent", "chat", "task"], "capabilities": []},
        "snapshot": {},
        "auth": auth,
        "policy": POLICY,
    }


def _check_shape(params: Payload) -> None:
    client = params.get("client") or {}
    if client.get("id") not in CLIENT_IDS:
        raise RpcError(
            "INVALID_REQUEST", "invalid connect params: at /client/id: must be equal to one of the allowed values"
        )
    if client.get("mode") not in MODES or not client.get("version") or not client.get("platform"):
        raise RpcError("INVALID_REQUEST", "invalid connect params: at /client: must match the schema")
    if not params.get("minProtocol", 0) <= 4 <= params.get("maxProtocol", 0):
        details = {"code": "PROTOCOL_MISMATCH", "expectedProtocol": 4}
        raise RpcError("INVALID_REQUEST", "protocol mismatch", details=details)


def _authenticate(
    gateway: Gateway, connection: SocketConnection, token: str, device: Payload | None, params: Payload
) -> str | None:
    if gateway.options.lockout and gateway.wrong_tokens >= WRONG_TOKENS_ALLOWED:
        details = {"code": "AUTH_RATE_LIMITED", "recommendedNextStep": "wait_then_retry"}
        raise RpcError("INVALID_REQUEST", "unauthorized: too many failed attempts", details=details)
    if not token and device is None:
        raise RpcError("NOT_PAIRED", "device identity required", details={"code": "DEVICE_IDENTITY_REQUIRED"})
    known = device is not None and secrets.compare_digest(gateway.paired.get(str(device.get("id")), ""), token or "-")
    if not known and not secrets.compare_digest(token, gateway.options.token):
        gateway.wrong_tokens += 1
        details = {"code": "AUTH_TOKEN_MISMATCH", "recommendedNextStep": "update_auth_credentials"}
        raise RpcError("INVALID_REQUEST", "unauthorized: gateway token mismatch", details=details)
    if device is None:
        return None
    _verify(connection, device, token, params)
    if device["id"] not in gateway.paired:
        request_id = gateway.pending.setdefault(device["id"], secrets.token_hex(8))
        details = {"code": "PAIRING_REQUIRED", "requestId": request_id}
        raise RpcError("NOT_PAIRED", "pairing required", details=details)
    return gateway.paired[device["id"]]


def _verify(connection: SocketConnection, device: Payload, token: str, params: Payload) -> None:
    client = params["client"]
    raw = base64.urlsafe_b64decode(device["publicKey"] + "==")
    scopes = ",".join(params.get("scopes") or ())
    parts = [
        "v3",
        device["id"],
        client["id"],
        client["mode"],
        params.get("role"),
        scopes,
        str(device["signedAt"]),
        token,
    ]
    text = "|".join([*parts, device["nonce"], client["platform"].lower(), str(client.get("deviceFamily", "")).lower()])
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(
            base64.urlsafe_b64decode(device["signature"] + "=="), text.encode()
        )
    except (InvalidSignature, ValueError) as error:
        details = {"code": "DEVICE_AUTH_SIGNATURE_INVALID"}
        raise RpcError("INVALID_REQUEST", "device signature invalid", details=details) from error
    fresh = device["nonce"] == connection.nonce and device["signedAt"] == connection.challenged_at
    if not fresh or device["id"] != hashlib.sha256(raw).hexdigest():
        raise RpcError(
            "INVALID_REQUEST", "device identity mismatch", details={"code": "DEVICE_AUTH_DEVICE_ID_MISMATCH"}
        )
