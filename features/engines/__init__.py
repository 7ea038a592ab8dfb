"""Where definitions are executed. Each engine is one module, and only that module names it."""
