"""Modules that are not the builder's: where heads or whole blocks were taken out, or norms have nothing to normalise.

A network's ``architecture.json`` names them by the name of their form, so that it is rebuilt without the pruner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from pipeline.errors import IntegrityError
from pipeline.models.form_names import FEWER_HEADS, FOLDED_NORM, NO_BLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["NoBlock", "forms_of", "set_forms"]


_FORMS = frozenset({NO_BLOCK, FEWER_HEADS, FOLDED_NORM})


class NoBlock(nn.Identity):
    """Where a residual block was: its input goes on as it is."""

    recorded_form = NO_BLOCK

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Give the input back."""
        return input


def forms_of(network: nn.Module) -> dict[str, str]:
    """Name of each module that is not the builder's, to its form."""
    return {
        name: form
        for name, module in network.named_modules()
        if isinstance(form := getattr(type(module), "recorded_form", None), str) and form in _FORMS
    }


def set_forms(network: nn.Module, forms: Mapping[str, str], where: str) -> None:
    """Give modules of the builder's the form they were written with.

    Args:
        network: As the builder made it; changed in place.
        forms: As :func:`forms_of` told them.
        where: What is read, for errors.

    Raises:
        IntegrityError: for a module that is not there, or a form that it cannot have.
    """
    from pipeline.models.fewer_heads import let_heads_go
    from pipeline.models.folded_norms import as_folded

    in_place = {FEWER_HEADS: let_heads_go, FOLDED_NORM: as_folded}
    for name, form in forms.items():
        try:
            module = network.get_submodule(name)
        except AttributeError as error:
            raise IntegrityError(f"the builder makes no module {name!r}", where=where) from error
        if form == NO_BLOCK and name:
            network.set_submodule(name, NoBlock())
        elif form not in in_place or not in_place[form](module):
            raise IntegrityError(
                f"module {name!r} cannot have the form that the architecture names",
                where=where,
                got=f"{form!r} for {type(module).__name__}",
                expected=f"{NO_BLOCK!r}, {FEWER_HEADS!r} for an attention of torchvision's, {FOLDED_NORM!r} for a norm",
            )
