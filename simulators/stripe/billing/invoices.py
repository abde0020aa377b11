"""API endpoints of invoices and their payments."""

from copy import deepcopy

from simulators.stripe.billing import cycles, invoice_shape, invoicing, proration
from simulators.stripe.payments import payment_methods
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.paging import INCLUDABLE, listed, page
from simulators.stripe.state.parameters import Params, merge_metadata
from simulators.stripe.state.routing import endpoint


@endpoint("GET", "/v1/invoices/{invoice}", "InvoiceRetrieveParams")
def retrieve(world: AccountState, params: Params, invoice: str) -> StripeObject:
    return world.get("invoice", invoice)


@endpoint("GET", "/v1/invoices", "InvoiceListParams", "customer status subscription")
def index(world: AccountState, params: Params) -> StripeObject:
    found = world.all("invoice", customer=params.get("customer"), status=params.get("status"))
    if wanted := params.get("subscription"):
        found = [one for one in found if world.hidden[one["id"]]["subscription"] == wanted]
    return page(params, "/v1/invoices", found)


@endpoint("GET", "/v1/invoices/{invoice}/lines", "InvoiceLineItemListParams")
def lines(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = world.get("invoice", invoice)
    items = [one | {"created": found["created"]} for one in reversed(found["lines"]["data"])]
    answer = page(params, f"/v1/invoices/{invoice}/lines", items)
    for one in answer["data"]:
        del one["created"]
    return answer


_PREVIEW = "customer subscription subscription_details"


@endpoint("POST", "/v1/invoices/create_preview", "InvoiceCreatePreviewParams", _PREVIEW)
def preview(world: AccountState, params: Params) -> StripeObject:
    if "subscription" not in params:
        message = "The Stripe simulator previews changes of an existing subscription."
        raise invalid(message, param="subscription", code="simulator_unsupported")
    subscription = world.get("subscription", params["subscription"], "subscription")
    details = params.get("subscription_details") or {}
    new = proration.changed_item(world, subscription, details)
    behavior = details.get("proration_behavior", "create_prorations")
    at = details.get("proration_date", world.now())
    changes = [] if behavior == "none" else proration.lines(world, subscription, new, at)
    upcoming = deepcopy(subscription) | {"items": {"data": [deepcopy(new)]}}
    if behavior != "always_invoice":
        end = cycles.item_of(subscription)["current_period_end"]
        period = {"current_period_start": end, "current_period_end": cycles.period_end(world, subscription, end)}
        upcoming["items"]["data"][0] |= period
        changes = [*world.hidden[subscription["id"]].get("pending", []), *changes]
        changes.append(cycles.recurring_line(world, upcoming))
    name = world.new_id("upcoming_in")
    changes = [one | {"id": world.new_id("il"), "invoice": name} for one in deepcopy(changes)]
    fields = invoice_shape.shape(world, subscription, changes, "upcoming")
    return {"id": name, "object": "invoice", "created": at, "livemode": False, "metadata": {}} | fields


@endpoint("POST", "/v1/invoices/{invoice}", "InvoiceUpdateParams", "metadata description auto_advance")
def update(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = world.get("invoice", invoice)
    with world.changing(found, "invoice.updated"):
        found["metadata"] = merge_metadata(found["metadata"], params)
        found |= {name: params[name] for name in ("description", "auto_advance") if name in params}
    return found


@endpoint("POST", "/v1/invoices/{invoice}/finalize", "InvoiceFinalizeInvoiceParams", "auto_advance")
def finalize(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = world.get("invoice", invoice)
    if found["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    invoicing.finalize(world, found)
    return found


@endpoint("POST", "/v1/invoices/{invoice}/pay", "InvoicePayParams", "payment_method off_session paid_out_of_band")
def pay(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = world.get("invoice", invoice)
    if found["status"] == "paid":
        raise invalid("Invoice is already paid")
    if found["status"] == "draft":
        invoicing.finalize(world, found)
    if found["status"] not in ("open", "uncollectible"):
        raise invalid(f"Invoices that are {found['status']} cannot be paid.")
    if params.get("paid_out_of_band"):
        invoicing.mark_paid(world, found)
        return found
    method = None
    if name := params.get("payment_method"):
        resolved = payment_methods.resolve(world, name)
        payment_methods.belongs(world, resolved, found["customer"])
        method = resolved["id"]
    error = invoicing.collect(world, found, method)
    if error:
        raise error
    return found


@endpoint("POST", "/v1/invoices/{invoice}/void", "InvoiceVoidInvoiceParams")
def void(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = _unpaid(world, invoice, "void")
    subscription = invoicing.subscription_of(world, found)
    if subscription["status"] == "incomplete" and subscription["latest_invoice"] == invoice:
        cycles.expire(world, subscription["id"])
    else:
        invoicing.close_unpaid(world, found, "void")
    return found


@endpoint("POST", "/v1/invoices/{invoice}/mark_uncollectible", "InvoiceMarkUncollectibleParams")
def mark_uncollectible(world: AccountState, params: Params, invoice: str) -> StripeObject:
    found = _unpaid(world, invoice, "mark as uncollectible")
    invoicing.close_unpaid(world, found, "uncollectible")
    cycles.invoice_settled(world, found, None)
    return found


def _unpaid(world: AccountState, invoice_id: str, verb: str) -> StripeObject:
    found = world.get("invoice", invoice_id)
    if found["status"] not in ("open", "uncollectible"):
        raise invalid(f"You can only {verb} an open invoice, this one is {found['status']}.")
    return found


@endpoint("GET", "/v1/invoice_payments", "InvoicePaymentListParams", "invoice payment status")
def payments(world: AccountState, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("invoice", "status")}
    found = world.all("invoice_payment", **wanted)
    if intent := (params.get("payment") or {}).get("payment_intent"):
        found = [one for one in found if one["payment"]["payment_intent"] == intent]
    return page(params, "/v1/invoice_payments", found)


@endpoint("GET", "/v1/invoice_payments/{payment}", "InvoicePaymentRetrieveParams")
def payment(world: AccountState, params: Params, payment: str) -> StripeObject:
    return world.get("invoice_payment", payment)


def _payments_of(world: AccountState, invoice: StripeObject) -> StripeObject:
    return listed(world.all("invoice_payment", invoice=invoice["id"])[::-1], "/v1/invoice_payments")


def _secret_of(world: AccountState, invoice: StripeObject) -> StripeObject | None:
    intent = invoicing.intent_of(world, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


INCLUDABLE[("invoice", "payments")] = _payments_of
INCLUDABLE[("invoice", "confirmation_secret")] = _secret_of
