"""What nobody outside could confirm about the real hosts, and how far away they are."""

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(slots=True)
class Settings:
    """May be changed while the fake runs.

    Page sizes are reported differently by different sources. Whether the CDN heeds ``If-Range``
    is not known, nor whether it compresses what is not text; the lives of signed links are about
    an hour. ``tells_sizes`` is whether a model's siblings have sizes and digests when asked for.

    Every answer comes ``round_trip_s`` after its request, the first one of a connection twice as
    late, since opening it takes a round trip as well. ``rate_bytes_per_s`` is what one connection
    gets, however many there are.
    """

    models_page: int = 1000
    tree_page: int = 1000
    tree_page_expanded: int = 50
    signed_life_s: float = 3600.0
    heeds_if_range: bool = True
    cdn_compresses_everything: bool = False
    sends_xet_hash: bool = True
    round_trip_s: float = 0.0
    rate_bytes_per_s: float | None = None
    tells_sizes: bool = True
