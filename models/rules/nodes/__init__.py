"""The node types by name. Every module of this package that exports `KIND` is a node type."""

import importlib
import pkgutil
from collections.abc import Mapping

from models.rules.graph.kinds import NodeKind

_MODULES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
KINDS: Mapping[str, NodeKind] = {module.KIND.type: module.KIND for module in _MODULES if hasattr(module, "KIND")}
