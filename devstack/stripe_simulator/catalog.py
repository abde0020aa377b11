"""Products and prices: the two subscriptions that are sold, there from the start."""

from devstack.stripe_simulator.errors import invalid
from devstack.stripe_simulator.paging import page
from devstack.stripe_simulator.parameters import Params
from devstack.stripe_simulator.routing import endpoint
from devstack.stripe_simulator.world import StripeObject, World

_SOLD = (("premium", "AgentForge Premium", 999), ("enterprise", "AgentForge Enterprise", 4999))


def seed(world: World) -> None:
    """Put the catalog there; makes no events."""
    for word, name, amount in _SOLD:
        product = add_product(world, f"prod_{word}", name)
        price = add_price(world, f"price_{word}_monthly", product, amount)
        product["default_price"] = price["id"]


def add_product(world: World, product_id: str, name: str) -> StripeObject:
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
    world: World, price_id: str, product: StripeObject, amount: int, interval: str = "month", currency: str = "usd"
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
    """The old form of a price, which subscription items still carry."""
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


def price_for_sale(world: World, price_id: str) -> StripeObject:
    """An active price, or Stripe's refusal."""
    price = world.get("price", price_id, "items[0][price]")
    if not price["active"]:
        message = f"The price specified is inactive. This field only accepts active prices: {price_id}."
        raise invalid(message, param="items[0][price]")
    return price


@endpoint("GET", "/v1/prices/{price}", "PriceRetrieveParams")
def price(world: World, params: Params, price: str) -> StripeObject:
    return world.get("price", price)


@endpoint("GET", "/v1/prices", "PriceListParams", "active product type currency")
def prices(world: World, params: Params) -> StripeObject:
    wanted = {name: params.get(name) for name in ("active", "product", "type", "currency")}
    return page(params, "/v1/prices", world.all("price", **wanted))


@endpoint("GET", "/v1/products/{product}", "ProductRetrieveParams")
def product(world: World, params: Params, product: str) -> StripeObject:
    return world.get("product", product)


@endpoint("GET", "/v1/products", "ProductListParams", "active")
def products(world: World, params: Params) -> StripeObject:
    return page(params, "/v1/products", world.all("product", active=params.get("active")))
