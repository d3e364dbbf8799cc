"""What one way of searching found."""

from dataclasses import dataclass

from modelcellar.search.fields import SqlValue

__all__ = ["Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of ``rowids``, how many there are in all, and the SELECT that gives all of them."""

    total: int
    rowids: tuple[int, ...]
    sql: str
    values: tuple[SqlValue, ...]
