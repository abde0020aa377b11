"""Compares JSON with the classes of the installed Stripe library: no unknown field, no missing required one."""

import builtins
import sys
import types
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import stripe
from stripe import ListObject, StripeObject
from stripe._stripe_object import UntypedStripeObject


class _Names(dict[str, Any]):
    """The names of a module of the library, including classes imported for type checkers only."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return _ALIASES.get(name) or getattr(stripe, name, Any)


_ALIASES = {"CardResource": stripe.Card, "DisputeResource": stripe.Dispute}
CLASSES = {
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "subscription": stripe.Subscription,
}


def problems(value: dict[str, Any]) -> list[str]:
    """The differences between an object and the class for its `object`."""
    return _of_class(value, CLASSES[value["object"]], value["object"])


def fields_of(cls: type) -> dict[str, Any]:
    """The annotated fields of a class of the library, with their types."""
    bare = type("Bare", (), {"__annotations__": cls.__annotations__, "__module__": cls.__module__})
    return get_type_hints(bare, localns=_Names(vars(sys.modules[cls.__module__])))


def _of_class(value: Any, cls: type, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no {cls.__qualname__}"]
    fields = fields_of(cls)
    found = [f"{path}.{name}: no such field" for name in value if name not in fields]
    for name, hint in fields.items():
        if name in value:
            found += _of_hint(value[name], hint, f"{path}.{name}")
        elif name != "OBJECT_NAME" and type(None) not in get_args(hint):
            found.append(f"{path}.{name}: missing")
    return found


def _of_hint(value: Any, hint: Any, path: str) -> list[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return min((_of_hint(value, option, path) for option in arguments), key=len)
    if hint is Any:
        return []
    if origin is Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments[:5]}"]
    if origin is list and isinstance(value, list):
        return [one for item in value for one in _of_hint(item, arguments[0], f"{path}[]")]
    if origin is ListObject and isinstance(value, dict):
        found = [
            f"{path}.{name}: missing in a list" for name in ("object", "data", "has_more", "url") if name not in value
        ]
        return found + [one for item in value["data"] for one in _of_hint(item, arguments[0], f"{path}.data[]")]
    if UntypedStripeObject in (origin, hint):
        return [] if isinstance(value, dict) else [f"{path}: {value!r} is no object"]
    if isinstance(hint, type) and issubclass(hint, StripeObject):
        return _of_class(value, hint, path)
    if hint is Decimal:
        return [] if isinstance(value, str) and Decimal(value) is not None else [f"{path}: {value!r} is no decimal"]
    if hint is float:
        return [] if isinstance(value, int | float) else [f"{path}: {value!r} is no number"]
    return [] if type(value) is hint else [f"{path}: {value!r} is no {hint}"]
