"""Products and prices, with the two subscription plans from the start."""

from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import invalid
from simulators.stripe.state.paging import page
from simulators.stripe.state.parameters import Params
from simulators.stripe.state.routing import endpoint

_SOLD = (("premium", "AgentForge Premium", 999), ("enterprise", "AgentForge Enterprise", 4999))


def seed(world: AccountState) -> None:
    """Create the catalog, without events."""
    for word, name, amount in _SOLD:
        product = add_product(world, f"prod_{word}", name)
        price = add_price(world, f"price_{word}_monthly", product, amount)
        product["default_price"] = price["id"]


def add_product(world: AccountState, product_id: str, name: str) -> StripeObject:
    return world.add(
        "prod",
        "product",
        id=product_id,
        active=True,
        default_price=None,
        description=None,
        images=[],
        marketing_features=[],
        name=name,
        package_dimensions=None,
        shippable=None,
        statement_descriptor=None,
        tax_code=None,
        type="service",
        unit_label=None,
        updated=world.now(),
        url=None,
    )


def add_price(
    world: AccountState,
    price_id: str,
    product: StripeObject,
    amount: int,
    interval: str = "month",
    currency: str = "usd",
) -> StripeObject:
    return world.add(
        "price",
        "price",
        id=price_id,
        active=True,
        billing_scheme="per_unit",
        currency=currency,
        custom_unit_amount=None,
        lookup_key=None,
        nickname=None,
        product=product["id"],
        recurring={
            "interval": interval,
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        tax_behavior="unspecified",
        tiers_mode=None,
        transform_quantity=None,
        type="recurring",
        unit_amount=amount,
        unit_amount_decimal=str(amount),
    )


def plan_of(price: StripeObject) -> StripeObject:
    """The legacy form of a price, which subscription items still contain."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": 1,
        "livemode": False,
        "metadata": {},
        "meter": None,
        "nickname": None,
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def price_for_sale(world: AccountState, price_id: str) -> StripeObject:
    """An active price, or Stripe's error."""
    price = world.get("price", price_id, "items[0][price]")
    if not price["active"]:
        message = f"The price specified is inactive. This field only accepts active prices: {price_id}."
        raise invalid(message, param="items[0][price]")
    return price


@endpoint("GET", "/v1/prices/{price}", "PriceRetrieveParams")
def price(world: AccountState, params: Params, price: str) -> StripeObject:
    return world.get("price", price)


@endpoint("GET", "/v1/prices", "PriceListParams", "active product type currency")
def prices(world: AccountState, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("active", "product", "type", "currency")}
    return page(params, "/v1/prices", world.all("price", **wanted))


@endpoint("GET", "/v1/products/{product}", "ProductRetrieveParams")
def product(world: AccountState, params: Params, product: str) -> StripeObject:
    return world.get("product", product)


@endpoint("GET", "/v1/products", "ProductListParams", "active")
def products(world: AccountState, params: Params) -> StripeObject:
    return page(params, "/v1/products", world.all("product", active=params.get("active")))
