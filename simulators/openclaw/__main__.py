"""Run the simulator in the foreground until SIGTERM or Ctrl-C; SIGHUP crashes and restarts it."""

import argparse
import asyncio
import contextlib
import signal

from devstack.servers.ports import port_of_program
from simulators.openclaw.gateway import Gateway, Options
from simulators.openclaw.server import keep_serving


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.openclaw", description="An OpenClaw gateway to test with."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: 18789, or the next free one")
    parser.add_argument("--token", default="development-token")
    parser.add_argument("--agents", default="flow,main", help="comma separated agent ids")
    parser.add_argument(
        "--remote", action="store_true", help="require approved devices, as off loopback; count wrong tokens"
    )
    parser.add_argument("--approve", action="append", default=[], metavar="DEVICE", help="approve a device id")
    parser.add_argument("--cap", type=int, default=8, help="turns at a time")
    parser.add_argument("--delay", type=float, default=0.4, help="seconds a model takes")
    parser.add_argument("--state", help="file that keeps tasks and transcripts over restarts")
    args = parser.parse_args()
    options = Options(
        token=args.token,
        agents=tuple(args.agents.split(",")),
        remote=args.remote,
        lockout=args.remote,
        cap=args.cap,
        delay=args.delay,
        state=args.state,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, args.host, port_of_program(args.port, 18789), args.approve))


async def _serve(options: Options, host: str, port: int, approved: list[str]) -> None:
    gateway = Gateway(options)
    for device in approved:
        gateway.paired[device] = f"device-token-of-{device[:8]}"
    serving = asyncio.create_task(
        keep_serving(gateway, host, port, lambda port: print(f"openclaw simulator on ws://{host}:{port}", flush=True))
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    loop.add_signal_handler(signal.SIGHUP, gateway.crash_soon)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    main()
