"""What policies may look at but not touch."""

from __future__ import annotations

from typing import Any, TypeVar

from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray[Any])


def read_only(array: Array) -> Array:
    """A view that follows the array's changes and refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
