"""As much of an HTTP/2 server as a test needs, on the library that the client is built on."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextvars import ContextVar

import h2.config
import h2.connection
import h2.events

IS_SERVER: ContextVar[bool] = ContextVar("IS_SERVER", default=False)
"""Whether what is logged now is logged by the server, which may show what it received."""


@contextlib.asynccontextmanager
async def serve_http2(tls: ssl.SSLContext, received: list[dict[str, str]]) -> AsyncIterator[int]:
    """Answers every request with 200 and ``two``; gives the port."""
    tls.set_alpn_protocols(["h2"])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        IS_SERVER.set(True)
        settings = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = h2.connection.H2Connection(settings)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        received.append({str(k): str(v) for k, v in event.headers})
                        fields = [(":status", "200"), ("content-length", "3")]
                        connection.send_headers(event.stream_id, fields)
                        connection.send_data(event.stream_id, b"two", end_stream=True)
                writer.write(connection.data_to_send())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
