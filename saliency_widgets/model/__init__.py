"""The user's model: structural clone, version, preprocessing, layers and outputs."""
