"""The service as a process: opened, listening, and ended in order. `serve` is what `hp-trt serve` calls."""

from __future__ import annotations

import socket

from uvicorn import Config

from engines.errors import InputError
from engines.foreign import reason
from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.connections import bounded_protocol
from hp_trt.apps.service.drain import DrainingServer
from hp_trt.apps.service.engine import OpenEngine
from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.logs import log_as_json
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.mount import mount_page

_BACKLOG = 256
_CLOSING_S = 1


def serve(
    config: ServiceConfig, open_engine: OpenEngine | None = None, *, listening: socket.socket | None = None
) -> None:
    """Serve until a signal comes, and end in order. `listening`: a socket that is open already, in place of the port.

    Raises what opening a bundle raises, InputError for a port that cannot be had.
    """
    log_as_json()
    own = listening or _listen(config)
    service = Service(config, open_engine)
    try:
        app = create_app(config, service)
        if config.page and (told := mount_page(app, service)):
            print(told, flush=True)
        server = DrainingServer(
            Config(
                app,
                http=bounded_protocol(config.limits),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_CLOSING_S,
                h11_max_incomplete_event_size=1 << 15,
                ws_max_size=_message_bytes(service),
                ws_per_message_deflate=False,  # pictures and sound are packed already
            ),
            service.drain,
            service.jobs.end_events,
        )
        service.start()
        print(f"hp-trt serves {config.bundle} at {_address(own)}", flush=True)
        server.run(sockets=[own])
    finally:
        service.close()
        own.close()


def _message_bytes(service: Service) -> int:
    """The largest message on a socket: larger ones are refused before they are read whole."""
    return (LiveLimits() if service.live is None else service.live.limits).message_bytes


def _listen(config: ServiceConfig) -> socket.socket:
    """A socket at the host and port. Raises InputError."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((config.host, config.port))
        made.listen(_BACKLOG)  # whoever reads the line that says where may connect at once
    except (OSError, UnicodeError) as error:
        made.close()
        raise InputError(
            f"nothing can listen at {config.host}, port {config.port} ({reason(error)}); give another --port or --host"
        ) from error
    made.set_inheritable(False)
    return made


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
