"""Placeholder until the widget is merged."""

from typing import Any

from twinfilters.lab.settings import checked
from twinfilters.widgets.snapshot import building


class TwinLab:
    """The lab."""

    def __init__(self, **settings: Any) -> None:
        self.settings = checked(settings)
        self._given = settings

    def __repr__(self) -> str:
        return f"TwinLab({', '.join(f'{name}={value!r}' for name, value in self._given.items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        from twinfilters.lab.markup import page

        return {"text/plain": repr(self), **({"text/html": page(self.settings)} if building() else {})}
