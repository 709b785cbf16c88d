"""The names of models: which are the language model's own, and which answer from the documents."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, Field

from app.compat.openai.errors import ModelNotFound
from settings import OFFLINE_MODEL

__all__ = ["BRAG", "Catalogue", "Model", "ModelList"]

BRAG: Final = "brag"
_WITH_BRAG: Final = f"{BRAG}/"


class Model(BaseModel):
    """A model that chat completions can be asked of."""

    id: str = Field(examples=[BRAG])
    object: str = "model"
    created: int = Field(default=0, description="Not known: always 0.")
    owned_by: str = Field(
        examples=["brag"], description="`brag`, or `upstream` for what is passed through."
    )


class ModelList(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[Model]


class Catalogue:
    """`brag`, and the configured models; each of them answers from the documents as `brag/NAME`."""

    def __init__(self, upstream_models: Sequence[str]) -> None:
        self._upstream = tuple(upstream_models)
        # Of the default one, `brag` is the shorter name.
        self._grounded = {BRAG: self._upstream[0]} | {
            f"{_WITH_BRAG}{name}": name for name in self._upstream
        }

    def list(self) -> ModelList:
        """Return all models, those that answer from the documents first."""
        names = [BRAG, *(f"{_WITH_BRAG}{name}" for name in self._upstream[1:]), *self._upstream]
        return ModelList(data=[self.find(name) for name in dict.fromkeys(names)])

    def find(self, name: str) -> Model:
        """Return a model.

        Raises:
            ModelNotFound: there is no such model.
        """
        if self.grounded(name) is not None or name == OFFLINE_MODEL:
            return Model(id=name, owned_by="brag")
        return Model(id=name, owned_by="upstream")

    def grounded(self, name: str) -> str | None:
        """Return the language model behind a model that answers from the documents.

        None for the name of a language model itself.

        Raises:
            ModelNotFound: there is no such model.
        """
        if name in self._grounded:
            return self._grounded[name]
        if name not in self._upstream:
            known = ", ".join((BRAG, *self._upstream))
            raise ModelNotFound(f"There is no model {name}. There are: {known}.")
        return None
