"""One file for each kind of detection. Siblings never import each other; dpi/security/registry.py finds them."""
