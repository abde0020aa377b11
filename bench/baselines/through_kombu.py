"""The API of `asgi`, publishing through kombu as for RabbitMQ: `bench.api` compares it with the transport for Redis."""

from asgi import app as app
from settings import process_settings
from tasks.publisher import KombuTransport
from tasks.queue import TaskMessage, set_publisher

_transport = KombuTransport(process_settings().broker_url)


def publish(message: TaskMessage) -> bool:
    """Publish the message through kombu."""
    _transport.send(message)
    return True


set_publisher(publish)
