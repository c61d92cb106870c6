"""Masks that say which pixels of an image matter: activation maps, boxes, learned masks."""
