"""Engines that execute expressions. Each engine is one module, the only one that imports it."""
