"""Every node type, by name. A module here that exports `KIND` is one; nothing else needs to know it."""

import importlib
import pkgutil
from collections.abc import Mapping

from models.rules.kinds import NodeKind

_MODULES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
KINDS: Mapping[str, NodeKind] = {module.KIND.type: module.KIND for module in _MODULES if hasattr(module, "KIND")}
