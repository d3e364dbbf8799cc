"""What is known of a model of the golden set, and its row in a catalog."""

from typing import NamedTuple

from modelcellar.index import CatalogRow
from modelcellar.records import JsonValue
from tests.support.catalog_rows import catalog_row


class Model(NamedTuple):
    """A model as people have it: the name, and what its bytes or its page told."""

    name: str
    type: str = "unknown"
    family: str | None = None
    base_model: str | None = None
    tags: tuple[str, ...] = ()
    author: str | None = None
    title: str | None = None
    quantization: str | None = None
    description: str = ""
    extension: str = "safetensors"
    files: tuple[str, ...] = ()
    """Paths inside the model; one file that is named as the model where there are none."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of the model."""
        return self.files or (f"{self.name}.{self.extension}",)

    def row(self, number: int) -> CatalogRow:
        """The row of this model, the ``number``-th of its catalog."""
        values: dict[str, JsonValue] = {
            "name": self.name,
            "type": self.type,
            "family": self.family,
            "base_model": self.base_model,
            "tags": list(self.tags),
            "author": self.author,
            "title": self.title,
            "quantization": self.quantization,
            "summary": self.description,
        }
        return catalog_row(number, values, self.paths)
