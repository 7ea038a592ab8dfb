"""The model in force and its reasons: from its bundle, and from the tags of its version in the registry."""
