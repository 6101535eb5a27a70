"""The languages of the pages: each module here is one. To add a language, copy ``en.py`` and translate it."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterable

from shelf_collector.core.language import Language


def languages_in(folders: Iterable[str]) -> dict[str, Language]:
    """The languages whose files lie in these folders, by code, in the order of their codes.

    Raises: ValueError when a file's name is not its language's code.
    """
    found: dict[str, Language] = {}
    for module in pkgutil.iter_modules(folders):
        spec = module.module_finder.find_spec(module.name, None)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        language = loaded.LANGUAGE
        if not isinstance(language, Language) or language.code != module.name:
            raise ValueError(f"{spec.origin}: LANGUAGE.code must be {module.name!r}, the file's name")
        found[module.name] = language
    return dict(sorted(found.items()))


LANGUAGES = languages_in(__path__)
